// The providers, live: what each can do, what is left of its plan, how its calls have ended.

import { button, copy, el, foreign, on, show, svg } from './dom.js';
import { now, onNews, proxy } from './proxy.js';
import { flash, hasText, inEachLanguage, number, t } from './texts.js';
import { FIRST_PROVIDERS, keyOf, left, reason, span } from './words.js';

/** From this share of a limit on, its bar warns. */
const NEARLY_USED = 0.8;
const panel = document.getElementById('providers');

/** Puts the list of providers to work. */
export function startProviders() {
  on('copy-line', (target) => copy(target.dataset.line).then(() => flash(target, 'copied')));
  inEachLanguage(draw);
  onNews(draw);
  // Countdowns.
  setInterval(() => !panel.hidden && !document.hidden && draw(), 1_000);
}

function draw() {
  const { report, health } = proxy;
  const figure = (name, value) => el('div', null, el('dt', null, t(name)), el('dd', null, value));
  show(panel,
    el('h2', null, t('tab_providers')),
    el('p', { class: 'small' }, t('providers_more')),
    report && el('dl', { class: 'figures' },
      figure('waiting_now', number(report.waiting)),
      figure('up_for', span(Math.max(1, parseInt(health.stats.uptime, 10)) * 1_000))),
    report?.sharing && sharing(report.sharing),
    report && el('div', { class: 'cards' }, report.providers.map(card)));
}

/** With how many the limits are shared. */
function sharing({ state, instances, last_exchange: at, reason: why }) {
  if (state !== 'shared') return el('p', { class: 'why' }, t('alone'), why && foreign(` · ${why}`));
  return el('p', { class: 'small' }, t('shared_by', { count: number(instances ?? 1), time: span(Math.max(0, now() - Date.parse(at))) }));
}

function card({ name, models, keys, configured, may_log_prompts: logs }) {
  return el('article', { class: 'card', 'data-key': name },
    el('header', null,
      el('h3', null, foreign(name)),
      configured ? keys > 1 && el('span', { class: 'small' }, t('keys_count', { count: keys })) : el('span', { class: 'state' }, t('state_no_key'))),
    logs && el('p', { class: 'small' }, t('may_log_prompts')),
    configured ? models.map((model, at) => part(name, model, at === 0)) : noKey(name));
}

function noKey(name) {
  const { variable, address, isTrial } = keyOf(name);
  return [el('p', null, t('set_variable', { variable })), address && el('p', null, keyLink(name, address, isTrial))];
}

const keyLink = (provider, href, isTrial) => [
  el('a', { href, target: '_blank', rel: 'noopener noreferrer' }, t('get_key', { provider })),
  isTrial && el('span', { class: 'small' }, ` (${t('trial_only')})`),
];

/** One model of a provider. */
function part(provider, model, open) {
  const { id, state, until, reason: word, limits } = model;
  const time = state !== 'disabled' && left(Date.parse(until), now());
  const act = word === 'not_in_plan' ? 'act_model_gone' : `act_${word}`;
  const todo = hasText(act) ? ` ${t(act)}` : '';
  return el('details', { class: 'part', 'data-key': id, open },
    el('summary', null,
      el('span', { class: `dot ${state}` }),
      el('span', { class: 'model' }, foreign(id)),
      el('span', { class: `state ${state}` }, t(`state_${state}`), time && ` · ${time}`)),
    word && el('p', { class: `why ${state}` }, t('provider_is', { provider, reason: reason(word) }) + todo),
    limits.map(limit),
    firstToken(provider, model),
    outcomes(model));
}

/** A bar for a limit, or as much as is known of it. */
function limit({ unit, window, limit: most, used, remaining, resets_at: at, source }) {
  const name = `${t(`unit_${unit}`)} ${t(`window_${window}`)}`;
  const time = used > 0 && left(Date.parse(at), now());
  return el('div', { class: 'limit' },
    el('div', { class: 'line' }, el('span', null, name), el('span', null, leftOf(most, used, remaining))),
    most != null && used != null && bar(name, most, used),
    el('div', { class: 'line small' }, el('span', null, t(`source_${source}`)), time && el('span', null, t('resets', { time }))));
}

function leftOf(most, used, remaining) {
  if (most == null) return used == null ? '' : t('limit_open', { used: number(used) });
  if (remaining == null) return t('limit_most', { limit: number(most) });
  return t('limit_left', { left: number(remaining), limit: number(most) });
}

function bar(name, most, used) {
  const share = most > 0 ? Math.min(1, used / most) : 1;
  const tone = share >= 1 ? 'full' : share >= NEARLY_USED && 'nearly';
  return el('progress', { class: tone, value: share, 'aria-label': name });
}

function firstToken(provider, { id, time_to_first_token_ms: times }) {
  if (!times) return null;
  const typical = t('typical', { p50: span(times.p50), p99: span(times.p99) });
  return el('div', { class: 'limit' },
    el('div', { class: 'line' }, el('span', null, t('first_token')), el('span', null, typical)),
    sparkline(proxy.series.get(`${provider} ${id}`) ?? []));
}

/** The last minutes as a line; the newest value is at the right. */
function sparkline(series) {
  if (series.length < 2) return null;
  const [low, high] = [Math.min(...series), Math.max(...series)];
  const point = (value, at) => `${(at * 200) / (series.length - 1)},${high > low ? 22 - (20 * (value - low)) / (high - low) : 12}`;
  const label = t('spark', { now: span(series.at(-1)), low: span(low), high: span(high) });
  return svg('svg', { class: 'spark', viewBox: '0 0 200 24', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    svg('polyline', { points: series.map(point).join(' '), 'vector-effect': 'non-scaling-stroke' }));
}

function outcomes({ outcomes: counts }) {
  const all = Object.entries(counts);
  if (!all.length) return el('p', { class: 'small' }, t('no_calls'));
  const name = (word) => (hasText(`outcome_${word}`) ? t(`outcome_${word}`) : t('outcome_failed', { reason: reason(word) }));
  return el('ul', { class: 'outcomes', 'aria-label': t('outcomes') },
    all.map(([word, count]) => el('li', { class: word === 'ok' ? 'ok' : word !== 'cancelled' && 'bad' }, `${number(count)} × ${name(word)}`)));
}

/** What to do when no provider has a key. */
export function firstSteps() {
  const keys = FIRST_PROVIDERS.map((name) => {
    const { variable, address, isTrial } = keyOf(name);
    return el('li', null, el('code', null, variable), ' ', keyLink(name, address, isTrial));
  });
  return el('section', { class: 'first-steps', 'aria-labelledby': 'first-title' },
    el('h2', { id: 'first-title' }, t('first_title')),
    el('ol', null,
      el('li', null, t('first_1'), el('ul', null, keys)),
      el('li', null, t('first_2'), copyLine(`GROQ_API_KEY=${t('your_key')}`)),
      el('li', null, t('first_3'))),
    el('p', null, t('first_keyless')),
    ['KEYLESS_PROVIDERS=kilo,ovhcloud', 'OLLAMA_BASE_URL=http://localhost:11434'].map(copyLine),
    el('p', null, t('first_demo')),
    copyLine('ai-proxy-free demo'));
}

/** Lines with a button that copies them. */
export const copyLine = (text) =>
  el('div', { class: 'copy-line' },
    el('pre', { tabindex: 0 }, el('code', null, text)),
    button(t('copy'), 'copy-line', { class: 'quiet', 'data-line': text, 'data-text': 'copy' }));
