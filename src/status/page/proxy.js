// Calls to the proxy: conversations, and what it reports about itself.

import { Events } from './sse.js';

const KEPT = 'client-key';
const EVERY_MS = 2_000;
const PATIENCE_MS = 8_000;
/** Five minutes. */
const MOST_SAMPLES = 150;

/**
 * What is known. `state` is `loading`, `known`, `locked` (the proxy wants a key), `forbidden` or `away`. `series` has
 * the typical time to the first token of each model over the last minutes.
 */
export const proxy = { state: 'loading', report: null, health: null, isKeyWrong: false, clockAhead: 0, series: new Map() };

const listeners = [];
let key = sessionStorage.getItem(KEPT);
let timer = null;
let reading = null;

/** Calls back whenever there is news. */
export const onNews = (listener) => listeners.push(listener);
const tell = () => listeners.forEach((listener) => listener());

/** Uses a key from now on. It stays in this tab. */
export function useKey(value) {
  if (/[^!-~]/.test(value)) {
    Object.assign(proxy, { state: 'locked', isKeyWrong: true });
    return tell();
  }
  key = value;
  sessionStorage.setItem(KEPT, value);
  proxy.state = 'loading';
  return refresh();
}

/** Whether clients need a key. */
export const needsKey = () => proxy.state === 'locked' || Boolean(key);

/** The time of the proxy, whose clock may differ from the browser's. */
export const now = () => Date.now() + proxy.clockAhead;

/** The providers that have a key. */
export const configured = () => (proxy.report?.providers ?? []).filter((it) => it.configured);

function call(path, options) {
  const headers = { ...options.headers, ...(key && { authorization: `Bearer ${key}` }) };
  return fetch(path, { ...options, headers, cache: 'no-store' });
}

/** Reads the reports every two seconds while somebody looks. */
export function watch() {
  const look = () => {
    clearInterval(timer);
    if (document.hidden) return;
    refresh();
    timer = setInterval(refresh, EVERY_MS);
  };
  document.addEventListener('visibilitychange', look);
  look();
}

/** Reads the reports now. */
export function refresh() {
  reading ??= read().finally(() => (reading = null));
  return reading;
}

async function read() {
  try {
    const health = await fetch('/health', { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
    proxy.health = await health.json();
    proxy.clockAhead = Date.parse(proxy.health.timestamp) - Date.now();
    // A refused key stays refused, and a browser notes each refusal as an error.
    if (proxy.state !== 'locked') await readProviders();
  } catch {
    proxy.state = 'away';
  }
  tell();
}

async function readProviders() {
  const response = await call('/providers', { signal: AbortSignal.timeout(PATIENCE_MS) });
  if (response.status === 401) return lock();
  proxy.state = response.ok ? 'known' : response.status === 403 ? 'forbidden' : 'away';
  if (response.ok) proxy.report = await response.json();
  for (const { name, models } of configured()) models.forEach((model) => keepSample(`${name} ${model.id}`, model));
}

function keepSample(name, { time_to_first_token_ms: times }) {
  if (!times) return;
  proxy.series.set(name, [...(proxy.series.get(name) ?? []), times.p50].slice(-MOST_SAMPLES));
}

/** The proxy has refused the key, or there was none. */
export function lock() {
  proxy.state = 'locked';
  proxy.isKeyWrong = Boolean(key);
  tell();
}

/** A refusal: its status, its words, and what failed. */
export class Refusal extends Error {
  constructor({ status, headers }, body) {
    super(body?.error);
    this.status = status;
    this.attempts = body?.attempts ?? [];
    this.retryAfter = Number(headers.get('retry-after'));
    this.requestId = headers.get('x-request-id');
  }
}

/** Asks, and calls `take` with the head of the answer and then with each event. Tells whether it was complete. */
export async function ask(messages, model, signal, take) {
  const body = JSON.stringify({ messages, model });
  const response = await call('/chat', { method: 'POST', headers: { 'content-type': 'application/json' }, body, signal });
  if (!response.ok) throw new Refusal(response, await response.json().catch(() => null));
  take({ head: response.headers });
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const events = new Events();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false;
    for (const data of events.push(decoder.decode(value, { stream: true }))) {
      if (data === '[DONE]') return true;
      take(JSON.parse(data));
    }
  }
}
