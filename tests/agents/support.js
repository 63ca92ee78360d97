// What the tests of all programs share: the proxy as it counts, and what a run of a program must have been like.

import assert from 'node:assert/strict';
import { startOverSimulator } from '../clients/node/support.js';

export { Faults, PROVIDERS } from '../clients/node/support.js';

/** Plans in which a program's request has room: its own instructions alone are 8,000 to 11,000 tokens. */
export const ROOMY = Object.fromEntries(
  ['GROQ_LIMITS', 'CEREBRAS_LIMITS', 'GEMINI_LIMITS'].map((name) => [name, 'rpm=1000,tpm=10000000']),
);

/** A proxy over the simulated providers that tells what it was asked and what it has called. */
export async function startCounting(test, options) {
  const proxy = await startOverSimulator(test, options);
  /** How many requests of a program's surface were answered with each status. */
  const answered = async ({ surface }) => {
    const text = await (await fetch(`${proxy.origin}/metrics`, { headers: { 'x-api-key': options?.env?.PROXY_API_KEY ?? '' } })).text();
    const rows = text.matchAll(/^ai_proxy_requests_total\{surface="(\w+)",status="(\d+)"\} (\d+)$/gm);
    const its = [...rows].filter((row) => row[1] === surface && row[3] !== '0');
    return Object.fromEntries(its.map(([, , status, count]) => [status, Number(count)]));
  };
  /** How many calls each provider got. */
  const called = async () => {
    const services = Object.entries(await proxy.services());
    return Object.fromEntries(services.map(([name, { count }]) => [name, count]));
  };
  return { ...proxy, answered, called };
}

/** Asserts that a program ended well and has said something. */
export function assertSaid(ran, said) {
  const told = JSON.stringify(ran, null, 1);
  assert.equal(ran.status, 0, told);
  assert.match(ran.stdout, said, told);
}

/** The sum of what an object counts. */
export const sum = (counts) => Object.values(counts).reduce((whole, count) => whole + count, 0);

/** Asserts that a program has ended in failure, and has said so. */
export function assertFailed(ran, said) {
  assert.notEqual(ran.status, 0, JSON.stringify(ran));
  assert.equal(ran.signal, null, JSON.stringify(ran));
  assert.match(`${ran.stdout}\n${ran.stderr}`, said);
}
