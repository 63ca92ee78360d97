// The providers, live: what each can do now, what is left of its free plan, and how its calls have ended.

import { button, copy, el, foreign, on, show, svg } from './dom.js';
import { modelKey, now, onNews, proxy } from './proxy.js';
import { flash, hasText, inEachLanguage, number, t } from './texts.js';
import { FIRST_PROVIDERS, keyOf, reason, span, until } from './words.js';

/** From this share of a limit on its bar warns. */
const NEARLY_USED = 0.8;

/** Puts the list of providers to work. */
export function startProviders() {
  on('copy-line', (target) => copy(target.dataset.line).then(() => flash(target, 'copied')));
  inEachLanguage(draw);
  onNews(draw);
  // Countdowns.
  setInterval(() => isShown() && draw(), 1_000);
}

const panel = () => document.getElementById('providers');
const isShown = () => !panel().hidden && !document.hidden;

function draw() {
  const { report, health } = proxy;
  show(panel(),
    el('div', { class: 'title' }, el('h2', null, t('providers_title')), el('p', { class: 'small' }, t('providers_more'))),
    report && el('dl', { class: 'figures' },
      figure(t('waiting_now'), number(report.waiting)),
      health && figure(t('up_for'), span(parseInt(health.stats.uptime, 10) * 1000))),
    report ? el('div', { class: 'cards' }, report.providers.map(card)) : proxy.state === 'loading' && el('p', null, t('loading')));
}

const figure = (name, value) => el('div', null, el('dt', null, name), el('dd', null, value));

function card(provider) {
  const { name, models, keys } = provider;
  return el('article', { class: 'card', 'data-key': name },
    el('header', null,
      el('h3', null, foreign(name)),
      keys > 1 && el('span', { class: 'small' }, t('keys_count', { count: keys })),
      !provider.configured && el('span', { class: 'state no_key' }, t('state_no_key'))),
    !provider.configured && noKey(name),
    provider.configured && models.map((model, at) => modelPart(name, model, at === 0)));
}

function noKey(name) {
  const { variable, address, isTrial } = keyOf(name);
  return el('div', { class: 'no-key' },
    el('p', null, t('set_variable', { variable })),
    address && el('p', null, keyLink(name, address), isTrial && el('span', { class: 'small' }, ` (${t('trial_only')})`)));
}

const keyLink = (provider, address) =>
  el('a', { href: address, target: '_blank', rel: 'noopener noreferrer' }, t('get_key', { provider }));

function modelPart(provider, model, isFirst) {
  return el('details', { class: 'part', 'data-key': model.id, open: isFirst },
    el('summary', null, el('span', { class: `dot ${model.state}` }), el('span', { class: 'model' }, foreign(model.id)), stateOf(model)),
    el('div', { class: 'inside' },
      why(model),
      el('div', { class: 'limits' }, model.limits.map(limit)),
      firstToken(provider, model),
      outcomes(model)));
}

function stateOf({ state, until: end }) {
  const left = end && until(end, now());
  const name = t(`state_${state}`);
  return el('span', { class: `state ${state}` }, left && state !== 'disabled' ? t('state_in', { state: name, time: left }) : name);
}

function why({ state, reason: word }) {
  if (state === 'ready' || !word) return null;
  const todo = hasText(`act_${word}`) ? ` ${t(`act_${word}`)}` : '';
  return el('p', { class: 'why' }, t('because', { reason: reason(word) }) + todo);
}

/** A bar for a limit; without both numbers only what is known. */
function limit(known) {
  const name = t('limit_name', { unit: t(`unit_${known.unit}`), window: t(`window_${known.window}`) });
  const left = known.resets_at && until(known.resets_at, now());
  const isMeasured = known.limit != null && known.used != null;
  return el('div', { class: 'limit' },
    el('div', { class: 'line' }, el('span', null, name), el('span', { class: 'left' }, leftOf(known))),
    isMeasured && bar(name, known),
    el('div', { class: 'line small' },
      el('span', null, t(`source_${known.source}`)),
      left && known.used > 0 && el('span', null, t('resets', { time: left }))));
}

function leftOf({ limit: most, used, remaining }) {
  if (most == null) return used == null ? '' : t('limit_open', { used: number(used) });
  if (remaining == null) return t('limit_most', { limit: number(most) });
  return t('limit_left', { left: number(remaining), limit: number(most) });
}

function bar(name, { limit: most, used, remaining }) {
  const share = most > 0 ? Math.min(1, used / most) : 1;
  const tone = remaining === 0 || share >= 1 ? 'full' : share >= NEARLY_USED ? 'nearly' : 'room';
  return el('progress', { class: tone, max: Math.max(1, most), value: Math.min(used, Math.max(1, most)), 'aria-label': name });
}

function firstToken(provider, { id, time_to_first_token_ms: times }) {
  if (!times) return null;
  const typical = t('typical', { p50: span(times.p50), p99: span(times.p99) });
  return el('div', { class: 'first' },
    el('div', { class: 'line' }, el('span', null, t('first_token')), el('span', { class: 'left' }, typical)),
    sparkline(proxy.firstTokens.get(modelKey(provider, id)) ?? []));
}

/** The last minutes as a line; the newest value is at the right. */
function sparkline(series) {
  if (series.length < 2) return null;
  const [low, high] = [Math.min(...series), Math.max(...series)];
  const y = (value) => (high === low ? 12 : 22 - (20 * (value - low)) / (high - low));
  const points = series.map((value, at) => `${((at * 200) / (series.length - 1)).toFixed(1)},${y(value).toFixed(1)}`);
  const label = t('spark', { now: span(series.at(-1)), low: span(low), high: span(high) });
  return svg('svg', { class: 'spark', viewBox: '0 0 200 24', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    svg('polyline', { points: points.join(' '), 'vector-effect': 'non-scaling-stroke' }));
}

function outcomes({ outcomes: counts }) {
  const all = Object.entries(counts);
  if (!all.length) return el('p', { class: 'small' }, t('no_calls'));
  const name = (word) => (hasText(`outcome_${word}`) ? t(`outcome_${word}`) : reason(word));
  return el('ul', { class: 'outcomes', 'aria-label': t('outcome_title') },
    all.map(([word, count]) => el('li', { class: word === 'ok' ? 'ok' : word === 'cancelled' ? '' : 'bad' }, `${number(count)} × ${name(word)}`)));
}

/** What to do when no provider has a key. */
export function firstSteps() {
  const line = `GROQ_API_KEY=${t('your_key')}`;
  const links = FIRST_PROVIDERS.map((name) => {
    const { variable, address, isTrial } = keyOf(name);
    return el('li', null, keyLink(name, address), ' ', el('code', null, variable), isTrial && el('span', { class: 'small' }, ` (${t('trial_only')})`));
  });
  return el('section', { class: 'first-steps', 'aria-labelledby': 'first-title' },
    el('h2', { id: 'first-title' }, t('first_title')),
    el('ol', null,
      el('li', null, t('first_1'), el('ul', { class: 'keys' }, links)),
      el('li', null, t('first_2'), copyLine(line)),
      el('li', null, t('first_3'))),
    el('p', null, t('first_demo')),
    copyLine('ai-proxy-free demo'));
}

/** Lines with a button that copies them. */
export const copyLine = (text, label) =>
  el('div', { class: 'line-to-copy' },
    el('pre', { tabindex: 0, 'aria-label': label ?? text.slice(0, 60) }, el('code', null, text)),
    button(t('copy'), 'copy-line', { class: 'quiet', 'data-line': text, 'data-text': 'copy' }));
