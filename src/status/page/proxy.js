// Calls to the proxy that this page came from: conversations, and what it reports about itself.

import { Events } from './sse.js';

const KEPT = 'client-key';
const EVERY_MS = 2_000;
const HISTORY = 150;

/** What is known of the proxy. `state` is `loading`, `known`, `locked` (it wants a key), `forbidden` or `away`. */
export const proxy = { state: 'loading', report: null, health: null, isKeyWrong: false, clockAhead: 0, firstTokens: new Map() };

const listeners = [];
let timer = null;
let reading = null;

/** Calls back whenever there is news. */
export const onNews = (listener) => listeners.push(listener);
const tell = () => listeners.forEach((listener) => listener());

function key() {
  try {
    return sessionStorage.getItem(KEPT);
  } catch {
    return memory.key;
  }
}

const memory = { key: null };

/** Uses a key from now on; it stays in this tab. */
export function useKey(value) {
  memory.key = value;
  try {
    sessionStorage.setItem(KEPT, value);
  } catch {
    // It lasts until the page is closed.
  }
  proxy.isKeyWrong = false;
  proxy.state = 'loading';
  return refresh();
}

/** Whether clients need a key. */
export const needsKey = () => proxy.state === 'locked' || Boolean(key());

/** The time of the proxy, which may have another clock than this browser. */
export const now = () => Date.now() + proxy.clockAhead;

function call(path, options = {}) {
  const headers = { ...options.headers };
  if (key()) headers.authorization = `Bearer ${key()}`;
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
    const health = await fetch('/health', { cache: 'no-store', signal: AbortSignal.timeout(8_000) });
    proxy.health = await health.json();
    proxy.clockAhead = Date.parse(proxy.health.timestamp) - Date.now();
    await readProviders();
  } catch {
    proxy.state = 'away';
  }
  tell();
}

async function readProviders() {
  // A key that was refused stays refused, and the browser would note each refusal as an error.
  if (proxy.state === 'locked') return;
  const used = key();
  const response = await call('/providers', { signal: AbortSignal.timeout(8_000) });
  if (response.status === 401) {
    lock(used);
  } else if (response.ok) {
    proxy.report = await response.json();
    proxy.state = 'known';
    keepFirstTokens();
  } else {
    proxy.state = response.status === 403 ? 'forbidden' : 'away';
  }
}

/** The proxy has refused the key that was used. */
export function lock(used = key()) {
  proxy.state = 'locked';
  proxy.isKeyWrong = Boolean(used);
  tell();
}

/** The name of a model among all providers. */
export const modelKey = (provider, model) => `${provider} ${model}`;

function keepFirstTokens() {
  for (const { name, models } of proxy.report.providers) {
    for (const { id, time_to_first_token_ms: times } of models) {
      if (!times) continue;
      const series = proxy.firstTokens.get(modelKey(name, id)) ?? [];
      series.push(times.p50);
      if (series.length > HISTORY) series.shift();
      proxy.firstTokens.set(modelKey(name, id), series);
    }
  }
}

/** The providers that have a key. */
export const configured = () => (proxy.report?.providers ?? []).filter((it) => it.configured);

/** A refusal of the proxy: its status, its words, and what failed. */
export class Refusal extends Error {
  constructor(response, body) {
    super(body?.error ?? '');
    this.status = response.status;
    this.attempts = body?.attempts ?? [];
    this.retryAfter = Number(response.headers.get('retry-after')) || null;
    this.requestId = response.headers.get('x-request-id');
  }
}

/**
 * Asks, and calls `take` with each event of the answer: `{head}`, `{content}`, `{end}`, `{failed}`. Whether the answer
 * was complete is what it gives back.
 */
export async function ask(messages, model, signal, take) {
  const response = await call('/chat', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages, model }),
    signal,
  });
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
      takeEvent(data, take);
    }
  }
}

function takeEvent(data, take) {
  const event = JSON.parse(data);
  if (event.error) take({ failed: event });
  else if (event.finish_reason) take({ content: event.content, end: event });
  else take({ content: event.content });
}
