// The playground: a conversation over `/chat`, and what is known of each answer.

import { button, copy, el, foreign, on, show } from './dom.js';
import { Markdown } from './markdown.js';
import { Refusal, ask, configured, lock, now, onNews, proxy, refresh } from './proxy.js';
import { flash, hasText, inEachLanguage, number, t } from './texts.js';
import { attemptSentence, attempts, countdown, reason, shortSpan } from './words.js';
import { firstSteps } from './providers.js';

const byId = (id) => document.getElementById(id);
/** A longer answer would fill the memory of the browser. */
const MOST_ANSWER_CHARS = 8_000_000;
const MOST_SAID_CHARS = 600;
/** A place in the line is worth telling after this time. */
const ASK_FOR_LINE_MS = 1_000;
/** Below this many milliseconds a speed says nothing. */
const SHORTEST_STREAM_MS = 50;

const turns = [];
let current = null;
let frame = null;
let nextId = 1;

/** Puts the playground to work. */
export function startPlayground() {
  on('send-example', (target) => send(target.textContent));
  on('stop', stop);
  on('clear', clear);
  on('copy-answer', (target) => copy(turnOf(target).text).then(() => flash(target, 'copied')));
  on('retry', (target) => answer(turnOf(target)));
  byId('ask').addEventListener('submit', (event) => {
    event.preventDefault();
    send(byId('question').value);
  });
  byId('question').addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send(byId('question').value);
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !document.querySelector('dialog[open]')) stop();
  });
  byId('question').addEventListener('input', fitQuestion);
  inEachLanguage(draw);
  onNews(draw);
  setInterval(() => isTicking() && drawTalk(), 250);
}

const turnOf = (target) => turns.find((turn) => String(turn.id) === target.closest('[data-turn]').dataset.turn);
const isTicking = () => current || turns.at(-1)?.refusal?.retryAt;

/** A question and its answer. */
function newTurn(question) {
  return { id: nextId++, question, ...emptyAnswer() };
}

const emptyAnswer = () => ({
  state: 'asking', text: '', trail: [], provider: null, model: null, maxTokens: null, usage: null, finish: null,
  failed: null, refusal: null, sentAt: performance.now(), firstAt: null, endAt: null,
});

function send(text) {
  const question = text.trim();
  if (!question || current) return;
  byId('question').value = '';
  fitQuestion();
  const turn = newTurn(question);
  turns.push(turn);
  answer(turn);
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

/** What came before this turn, as far as it was answered. */
function history(turn) {
  const before = turns.slice(0, turns.indexOf(turn)).filter((it) => it.text);
  const said = before.flatMap((it) => [
    { role: 'user', content: it.question },
    { role: 'assistant', content: it.text },
  ]);
  return [...said, { role: 'user', content: turn.question }];
}

/** Asks for the answer to a turn, once more if there is one already. */
async function answer(turn) {
  if (current) return;
  Object.assign(turn, emptyAnswer());
  current = { turn, leaving: new AbortController(), isOnEnd: true };
  draw();
  const element = bodyOf(turn);
  element.replaceChildren();
  current.markdown = new Markdown(element);
  current.pending = '';
  scrollToEnd();
  try {
    const isComplete = await ask(history(turn), byId('model').value || 'auto', current.leaving.signal, take);
    turn.state = isComplete ? 'done' : turn.failed ? 'late' : 'broken';
  } catch (error) {
    turn.state = current.isTooLong ? 'long' : current.leaving.signal.aborted ? 'stopped' : failed(turn, error);
  }
  finish(turn);
}

function failed(turn, error) {
  // An answer that has begun and breaks off is a broken one, whatever the browser calls it.
  if (turn.firstAt) return 'broken';
  turn.refusal = error instanceof Refusal ? error : { status: 0, attempts: [], message: '' };
  if (turn.refusal.retryAfter) turn.refusal.retryAt = now() + turn.refusal.retryAfter * 1000;
  if (turn.refusal.status === 401) lock();
  return 'refused';
}

function take({ head, content, end, failed: failure }) {
  const { turn } = current;
  if (head) {
    turn.provider = head.get('x-provider');
    turn.model = head.get('x-model');
    turn.trail = attempts(head.get('x-attempts'));
    turn.maxTokens = Number(head.get('x-max-tokens')) || null;
    say(t('answering', { provider: turn.provider }));
  }
  if (content) {
    turn.firstAt ??= performance.now();
    turn.state = 'answering';
    turn.text += content;
    current.pending += content;
    if (turn.text.length > MOST_ANSWER_CHARS) leaveTooLong();
  }
  if (end) {
    turn.finish = end.finish_reason;
    turn.usage = end.usage ?? null;
    turn.endAt = performance.now();
  }
  if (failure) turn.failed = failure;
  frame ??= requestAnimationFrame(drawMore);
}

function leaveTooLong() {
  current.isTooLong = true;
  stop();
}

/** Shows what has come since the last frame. */
function drawMore() {
  frame = null;
  if (!current) return;
  const isNearEnd = isAtEnd();
  const { pending } = current;
  current.pending = '';
  if (pending) current.markdown.push(pending);
  drawTalk();
  if (isNearEnd) scrollToEnd();
}

function finish(turn) {
  cancelAnimationFrame(frame);
  frame = null;
  const isNearEnd = isAtEnd();
  turn.endAt ??= performance.now();
  if (current.pending) current.markdown.push(current.pending);
  current.markdown.end();
  current = null;
  draw();
  if (isNearEnd) scrollToEnd();
  say(spoken(turn));
  refresh();
}

/** What a screen reader is told when an answer ends. */
function spoken(turn) {
  if (turn.state === 'refused') return errorTexts(turn).title;
  const told = turn.text.length > MOST_SAID_CHARS ? `${turn.text.slice(0, MOST_SAID_CHARS)}…` : turn.text;
  return [t('answered', { provider: turn.provider ?? '' }), told, ...notes(turn)].join(' ');
}

const say = (text) => (byId('said').textContent = text);

const isAtEnd = () => window.innerHeight + window.scrollY > document.documentElement.scrollHeight - 120;
const scrollToEnd = () => window.scrollTo(0, document.documentElement.scrollHeight);

function fitQuestion() {
  const field = byId('question');
  field.style.height = 'auto';
  field.style.height = `${Math.min(field.scrollHeight, 200)}px`;
}

// Drawing.

const bodyOf = (turn) => document.querySelector(`[data-turn="${turn.id}"] .answer`);

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
  show(byId('model'), el('option', { value: 'auto' }, t('auto')), options);
}

function drawWelcome() {
  const isNew = turns.length === 0;
  const hasNoKeys = proxy.state === 'known' && configured().length === 0;
  const examples = ['try_1', 'try_2', 'try_3'].map((name) => button(t(name), 'send-example', { class: 'example' }));
  show(byId('welcome'),
    hasNoKeys && firstSteps(),
    isNew && !hasNoKeys && el('div', { class: 'welcome' },
      el('h2', null, t('welcome')),
      el('p', null, t('welcome_more')),
      el('div', { class: 'examples' }, examples)));
}

function drawTalk() {
  show(byId('talk'), turns.map((turn) =>
    el('li', { 'data-key': `turn-${turn.id}`, 'data-turn': turn.id, class: 'turn' },
      el('div', { class: 'question', dir: 'auto' }, turn.question),
      el('div', { class: 'who' }, who(turn)),
      el('div', { class: 'answer', 'data-own': true }),
      el('div', { class: 'after' }, after(turn)))));
}

/** Who answers, or what is being waited for. */
function who(turn) {
  if (turn.provider) return [el('span', { class: 'dot ready' }), el('b', null, foreign(turn.provider)), ' ', el('span', { class: 'model' }, foreign(turn.model ?? ''))];
  if (turn.state !== 'asking') return [];
  const milliseconds = performance.now() - turn.sentAt;
  const waiting = milliseconds > ASK_FOR_LINE_MS ? (proxy.report?.waiting ?? 0) : 0;
  return [
    el('span', { class: 'dot asking' }),
    el('span', { class: 'waiting' }, t(waiting > 0 ? 'waiting' : 'asking'), ' ', el('span', { class: 'clock' }, shortSpan(Math.floor(milliseconds / 250) * 250))),
    waiting > 1 && el('span', { class: 'small' }, ' ', t('waiting_many', { count: waiting })),
  ];
}

function after(turn) {
  const isOver = turn !== current?.turn;
  const isLast = turn === turns.at(-1);
  return [
    fallback(turn),
    turn.state === 'refused' && refused(turn),
    isOver && notes(turn).map((note) => el('p', { class: `note ${turn.state}` }, note)),
    isOver && turn.state === 'done' && !turn.text && el('p', { class: 'note' }, t('empty')),
    el('div', { class: 'facts' },
      facts(turn).map((fact) => el('span', null, fact)),
      isOver && turn.text && button(t('copy'), 'copy-answer', { class: 'quiet', 'data-text': 'copy' }),
      isOver && isLast && !current && button(t('retry'), 'retry', { class: 'quiet' })),
  ];
}

/** Who was passed over or failed before somebody answered. */
function fallback(turn) {
  const others = turn.trail.filter(([, word]) => word !== 'ok');
  if (!others.length) return null;
  const sentences = others.map(([provider, word]) => attemptSentence(provider, word));
  return el('p', { class: 'fallback' }, [...sentences, t('fell_back', { provider: turn.provider })].join(' '));
}

function notes(turn) {
  const special = { late: () => t('note_late', { provider: turn.failed.provider ?? '' }) };
  const { state } = turn;
  return [
    turn.maxTokens && t('cut_to', { count: number(turn.maxTokens) }),
    state === 'done' && hasText(`note_${turn.finish}`) && t(`note_${turn.finish}`),
    state !== 'done' && state !== 'refused' && hasText(`note_${state}`) && (special[state]?.() ?? t(`note_${state}`)),
  ].filter(Boolean);
}

function facts(turn) {
  if (!turn.firstAt) return [];
  const first = t('first_word', { time: shortSpan(turn.firstAt - turn.sentAt) });
  if (!turn.endAt) return [first];
  const time = turn.endAt - turn.firstAt;
  const counted = turn.usage?.completion_tokens;
  const tokens = counted || Math.round(turn.text.length / 4);
  const speed = number(Math.round((tokens * 1000) / time));
  return [
    first,
    time >= SHORTEST_STREAM_MS && tokens > 1 && t(counted ? 'speed' : 'speed_guess', { count: speed }),
    counted && t('tokens', { count: number(counted) }),
  ].filter(Boolean);
}

const isKeyless = ({ refusal }) => refusal.status === 503 && !refusal.retryAfter && refusal.message.includes('API key');

function errorTexts(turn) {
  const { status } = turn.refusal;
  const name = status === 0 ? 'network' : isKeyless(turn) ? 'no_keys' : status;
  const known = hasText(`error_${name}`) ? name : 'other';
  return { title: t(`error_${known}`, { status }), todo: t(`error_${known}_do`, { origin: location.origin }) };
}

function refused(turn) {
  const { title, todo } = errorTexts(turn);
  const { refusal } = turn;
  return el('div', { class: 'refused' },
    el('h3', null, title),
    el('p', null, todo),
    refusal.retryAt && el('p', { class: 'countdown' }, retryTime(refusal.retryAt)),
    refusal.attempts.length > 0 && el('ul', null, refusal.attempts.map(attemptLine)),
    refusal.message && el('details', null,
      el('summary', null, t('details')),
      el('p', null, foreign(refusal.message)),
      refusal.requestId && el('p', { class: 'small' }, t('request_id', { id: refusal.requestId }))),
    refusal.status === 401 && button(t('enter_key'), 'key', { class: 'main' }));
}

function retryTime(retryAt) {
  const left = retryAt - now();
  return left > 0 ? t('error_429_in', { time: countdown(left) }) : t('error_429_now');
}

const attemptLine = ({ provider, reason: word, status }) =>
  el('li', null, t('failed_because', { provider, reason: reason(word) }), status ? ` (HTTP ${status})` : '');
