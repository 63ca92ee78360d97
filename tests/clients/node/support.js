// What the tests share.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

export const ERRORS = JSON.parse(await readFile(new URL('../errors.json', import.meta.url)));

/** The base URL of a simulated provider. */
export const url = (provider) => JSON.parse(process.env.SIMULATOR_URLS)[provider];

/** What a simulated model says to a question. */
export const echo = (provider, question) =>
  `[simulated ${provider}] You said: ${question}\nThis answer comes word by word, as a real one would.`;

/** A picture of one pixel, and what the little model says of it. */
export const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
export const SEEN = 'I see 1 image(s): image/png';

/** The schema of a tool's parameters or of an answer, and the smallest thing that fits. */
export const SCHEMA = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 3 } },
  required: ['city', 'days'],
  additionalProperties: false,
};
export const INSTANCE = { city: 'text', days: 3 };

/** What a call that fails has thrown. */
export const thrown = (call) =>
  call.then(
    () => assert.fail('it did not fail'),
    (error) => error,
  );

/** Asserts that `whole` has everything that `part` has. */
export function assertIncludes(whole, part) {
  const cut = (whole, part) => {
    if (Array.isArray(part)) return whole?.map?.((item, index) => cut(item, part[index])) ?? whole;
    if (part === null || typeof part !== 'object') return whole;
    return Object.fromEntries(Object.keys(part).map((key) => [key, cut(whole?.[key], part[key])]));
  };
  assert.deepEqual(cut(whole, part), part);
}

/** Starts a demo proxy on a free port; it ends with the test. */
export async function startProxy(test, env = {}) {
  const proxy = spawn(process.env.PROXY_BIN, ['demo'], {
    env: { PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  test.after(async () => {
    proxy.kill();
    if (proxy.exitCode === null) await once(proxy, 'exit');
  });
  const lines = [];
  const waiting = new Set();
  createInterface({ input: proxy.stdout }).on('line', (line) => {
    lines.push(line);
    for (const look of waiting) look(line);
  });
  /** The first line of the log that matches, when it has come. */
  const logged = (pattern) =>
    new Promise((resolve) => {
      const look = (line) => {
        if (!pattern.test(line)) return;
        waiting.delete(look);
        resolve(line);
      };
      waiting.add(look);
      lines.forEach(look);
    });
  const origin = (await logged(/ listening on http:/)).match(/http:\S+/)[0];
  const services = async () => (await (await fetch(`${origin}/health`)).json()).stats.services;
  return { origin, logged, services };
}
