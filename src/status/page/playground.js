// The playground: a conversation over `/chat`, and what is known of each answer.

import { button, copy, el, foreign, on, show } from './dom.js';
import { Markdown } from './markdown.js';
import { firstSteps } from './providers.js';
import { Refusal, ask, configured, lock, now, onNews, proxy, refresh } from './proxy.js';
import { flash, hasText, inEachLanguage, number, t } from './texts.js';
import { attempts, left, reason, span } from './words.js';

const byId = (id) => document.getElementById(id);
/** A longer answer would fill the browser's memory. */
const MOST_CHARS = 8_000_000;
const MOST_SPOKEN_CHARS = 600;
/** After this time it is told whether the request stands in line. */
const LINE_AFTER_MS = 1_000;
/** A shorter stream says nothing about speed. */
const SHORTEST_STREAM_MS = 50;

const turns = [];
let current = null;
let frame = null;

/** Puts the playground to work. */
export function startPlayground() {
  const question = byId('question');
  on('example', (target) => send(target.textContent));
  on('stop', stop);
  on('clear', clear);
  on('copy-answer', (target) => copy(turnOf(target).text).then(() => flash(target, 'copied')));
  on('retry', (target) => answer(turnOf(target)));
  byId('ask').addEventListener('submit', (event) => {
    event.preventDefault();
    send(question.value);
  });
  question.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send(question.value);
  });
  document.addEventListener('keydown', ({ key }) => key === 'Escape' && !byId('key').open && stop());
  question.addEventListener('input', fitQuestion);
  inEachLanguage(draw);
  onNews(draw);
  // Clocks and countdowns.
  setInterval(() => (current || turns.at(-1)?.refusal?.retryAt) && drawTalk(), 250);
}

const turnOf = (target) => turns[target.closest('[data-turn]').dataset.turn];

const noAnswer = () => ({
  state: 'asking', text: '', trail: [], provider: null, model: null, maxTokens: 0, end: null, failure: null, refusal: null,
  sentAt: performance.now(), firstAt: null, endAt: null,
});

function send(text) {
  const question = text.trim();
  if (!question || current) return;
  byId('question').value = '';
  fitQuestion();
  turns.push({ question });
  answer(turns.at(-1));
}

function stop() {
  current?.leaving.abort();
}

function clear() {
  stop();
  turns.length = 0;
  draw();
  byId('question').focus();
}

/** The conversation up to this turn, as far as it was answered. */
function messages(turn) {
  const before = turns.slice(0, turns.indexOf(turn)).filter((it) => it.text);
  const said = before.flatMap((it) => [{ role: 'user', content: it.question }, { role: 'assistant', content: it.text }]);
  return [...said, { role: 'user', content: turn.question }];
}

/** Asks for the answer to a turn, once more if there is one already. */
async function answer(turn) {
  if (current) return;
  Object.assign(turn, noAnswer());
  current = { turn, leaving: new AbortController(), pending: '' };
  draw();
  const element = document.querySelector(`[data-turn="${turns.indexOf(turn)}"] .answer`);
  element.replaceChildren();
  current.markdown = new Markdown(element);
  scrollToEnd();
  const { leaving } = current;
  try {
    const isComplete = await ask(messages(turn), byId('model').value || 'auto', leaving.signal, (event) => take(turn, event));
    turn.state = isComplete ? 'done' : turn.failure ? 'late' : 'broken';
  } catch (error) {
    turn.state = leaving.signal.aborted ? (leaving.signal.reason === 'long' ? 'long' : 'stopped') : failed(turn, error);
  }
  finish(turn);
}

function failed(turn, error) {
  if (turn.provider) return 'broken';
  turn.refusal = error instanceof Refusal ? error : { status: 0, attempts: [], message: '' };
  const { retryAfter, status } = turn.refusal;
  if (retryAfter) turn.refusal.retryAt = now() + retryAfter * 1_000;
  if (status === 401) lock();
  return 'refused';
}

function take(turn, { head, content, error, ...end }) {
  if (head) {
    turn.provider = head.get('x-provider');
    turn.model = head.get('x-model');
    turn.trail = attempts(head.get('x-attempts'));
    turn.maxTokens = Number(head.get('x-max-tokens'));
    say(t('answering', { provider: turn.provider }));
  }
  if (content) {
    turn.firstAt ??= performance.now();
    turn.text += content;
    current.pending += content;
    if (turn.text.length > MOST_CHARS) current.leaving.abort('long');
  }
  if (end.finish_reason) Object.assign(turn, { end, endAt: performance.now() });
  if (error) turn.failure = end;
  frame ??= requestAnimationFrame(drawMore);
}

/** Shows what has come since the last frame. */
function drawMore() {
  frame = null;
  followingEnd(() => {
    current.markdown.push(current.pending);
    current.pending = '';
    drawTalk();
  });
}

function finish(turn) {
  cancelAnimationFrame(frame);
  frame = null;
  turn.endAt ??= performance.now();
  followingEnd(() => {
    current.markdown.push(current.pending);
    current.markdown.end();
    current = null;
    draw();
  });
  if (turns.includes(turn)) say(spoken(turn));
  refresh();
}

/** What a screen reader says at the end of an answer. */
function spoken(turn) {
  if (turn.refusal) return errorTexts(turn.refusal)[0];
  return [t('answered', { provider: turn.provider }), turn.text.slice(0, MOST_SPOKEN_CHARS), ...notes(turn)].join(' ');
}

const say = (text) => (byId('said').textContent = text);
const scrollToEnd = () => window.scrollTo(0, document.documentElement.scrollHeight);

/** Changes the page; who looks at its end goes on looking at its end. */
function followingEnd(change) {
  const isAtEnd = window.innerHeight + window.scrollY > document.documentElement.scrollHeight - 120;
  change();
  if (isAtEnd) scrollToEnd();
}

function fitQuestion() {
  const { style } = byId('question');
  style.height = 'auto';
  style.height = `${byId('question').scrollHeight}px`;
}

function draw() {
  drawModels();
  drawWelcome();
  drawTalk();
  byId('clear').hidden = turns.length === 0;
  byId('send').hidden = Boolean(current);
  byId('stop').hidden = !current;
}

function drawModels() {
  const options = configured().map(({ name, models }) =>
    el('optgroup', { label: name },
      el('option', { value: name.toLowerCase() }, t('best_of', { provider: name })),
      models.map(({ id }) => el('option', { value: `${name.toLowerCase()}/${id}` }, id))));
  const select = byId('model');
  const chosen = select.value;
  show(select, el('option', { value: 'auto' }, t('auto')), options);
  select.value = chosen;
  if (!select.value) select.value = 'auto';
}

function drawWelcome() {
  const hasNoKeys = proxy.state === 'known' && configured().length === 0;
  const examples = ['try_1', 'try_2', 'try_3'].map((name) => button(t(name), 'example', { class: 'example' }));
  const welcome = () =>
    el('div', { class: 'welcome' }, el('h2', null, t('welcome')), el('p', null, t('welcome_more')), el('div', { class: 'examples' }, examples));
  byId('ask').hidden = hasNoKeys;
  show(byId('welcome'), hasNoKeys ? firstSteps() : turns.length === 0 && welcome());
}

function drawTalk() {
  show(byId('talk'), turns.map((turn, at) =>
    el('li', { 'data-turn': at, class: 'turn' },
      el('div', { class: 'question', dir: 'auto' }, turn.question),
      el('div', { class: 'who' }, who(turn)),
      el('div', { class: 'answer', 'data-own': true }),
      turn !== current?.turn && el('div', null, after(turn)),
      el('div', { class: 'facts' }, facts(turn).map((fact) => el('span', null, fact)), buttons(turn)))));
}

/** Who answers, and who does not; or what is being waited for. */
function who(turn) {
  if (turn.provider) {
    return [el('span', { class: 'dot ready' }), el('b', null, foreign(turn.provider)), el('span', { class: 'model' }, foreign(turn.model)), fallback(turn)];
  }
  if (turn.state !== 'asking') return [];
  const milliseconds = Math.floor((performance.now() - turn.sentAt) / 250) * 250;
  const waiting = milliseconds > LINE_AFTER_MS ? (proxy.report?.waiting ?? 0) : 0;
  return [
    el('span', { class: 'dot asking' }),
    el('span', { class: 'waiting' }, t(waiting ? 'waiting' : 'asking'), ' ', span(milliseconds)),
  ];
}

/** Who was passed over or failed before somebody answered. */
function fallback({ trail, provider }) {
  const others = trail.filter(([, word]) => word !== 'ok');
  const sentences = others.map(([name, word]) =>
    t(word === 'cooling_down' ? 'passed_over' : 'provider_is', { provider: name, reason: reason(word) }));
  return others.length > 0 && el('p', { class: 'fallback' }, [...sentences, t('fell_back', { provider })].join(' '));
}

function after(turn) {
  const isEmpty = turn.state === 'done' && !turn.text;
  const all = isEmpty ? [...notes(turn), t('empty')] : notes(turn);
  return [turn.refusal && refused(turn.refusal), all.map((note) => el('p', { class: `note ${turn.state}` }, note))];
}

function notes({ state, maxTokens, end, failure }) {
  const name = `note_${state === 'done' ? end?.finish_reason : state}`;
  return [
    maxTokens > 0 && t('cut_to', { count: number(maxTokens) }),
    hasText(name) && t(name, { provider: failure?.provider }),
  ].filter(Boolean);
}

function facts({ state, text, sentAt, firstAt, endAt, end }) {
  if (!firstAt) return [];
  const first = t('first_word', { time: span(firstAt - sentAt) });
  if (state !== 'done') return [first];
  const counted = end?.usage?.completion_tokens;
  const count = number(Math.round(((counted || text.length / 4) * 1_000) / (endAt - firstAt)));
  return [
    first,
    endAt - firstAt > SHORTEST_STREAM_MS && t(counted ? 'speed' : 'speed_guess', { count }),
    counted && t('tokens', { count: number(counted) }),
  ].filter(Boolean);
}

function buttons(turn) {
  if (turn === current?.turn) return null;
  return [
    turn.text && button(t('copy'), 'copy-answer', { class: 'quiet', 'data-text': 'copy' }),
    turn === turns.at(-1) && button(t('retry'), 'retry', { class: 'quiet' }),
  ];
}

/** What went wrong, and what to do. */
function errorTexts({ status, attempts: all }) {
  const known = (name) => (hasText(name) ? name : name.replace(/\d+/, 'other'));
  const isTooLong = status === 400 && all.some((it) => ['too_large', 'context_too_long'].includes(it.reason));
  const name = `error_${isTooLong ? 413 : status || 'network'}`;
  return [t(known(name), { status }), t(status === 401 ? 'key_why' : known(`${name}_do`), { origin: location.origin })];
}

function refused(refusal) {
  const [title, todo] = errorTexts(refusal);
  const { retryAt, status, message, requestId } = refusal;
  const time = retryAt && left(retryAt, now());
  return el('div', { class: 'refused' },
    el('h3', null, title),
    el('p', null, todo),
    retryAt && el('p', { class: 'countdown' }, time ? t('free_in', { time }) : t('free_now')),
    el('ul', null, refusal.attempts.map(({ provider, reason: word, status: its }) =>
      el('li', null, t('provider_is', { provider, reason: reason(word) }), its && ` (HTTP ${its})`))),
    message && el('details', null, el('summary', null, t('details')), el('p', null, foreign(message)), requestId && el('p', null, t('request_id', { id: requestId }))),
    status === 401 && button(t('enter_key'), 'key'));
}
