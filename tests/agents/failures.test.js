// What every program does when nobody can answer: what it says, and how often it asks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLAUDE_CODE, CODEX, GEMINI_CLI, settle } from './programs.js';
import { assertFailed, assertSaid, Faults, ROOMY, startCounting, sum } from './support.js';

/** The most calls that one request costs, also while everybody rests after a failure. */
const MAX_ATTEMPTS = 6;

// Without Gemini: of its day nobody can tell when it ends, because Google says the same short time as of a minute.
const SPENT = { GOOGLE_API_KEY: '', GROQ_MODEL: 'openai/gpt-oss-20b', CEREBRAS_MODEL: 'gpt-oss-120b' };

for (const [program, requests, said] of [
  [CLAUDE_CODE, 1, /Request rejected \(429\)/],
  [CODEX, 1, /hit your usage limit.*Try again/],
  // It asks which model suits a question before it asks the question.
  [GEMINI_CLI, 2, /quota/i],
]) {
  test(`${program.name} gives up at once when every quota is spent until tomorrow`, async (t) => {
    const faults = new Faults({ Groq: 'spent_until_tomorrow', Cerebras: 'spent_until_tomorrow' });
    const proxy = await startCounting(t, { env: { ...ROOMY, ...SPENT }, faults });
    const { ask } = await settle(t, program, proxy);
    assertFailed(await ask('Good morning, proxy'), said);
    assert.deepEqual(await proxy.answered(program), { 429: requests });
    assert.deepEqual(await proxy.called(), { Groq: 1, Cerebras: 1, Gemini: 0 });
  });
}

for (const [program, status, requests, said, options] of [
  [CLAUDE_CODE, 502, 1, /All services failed: Groq failed/],
  [CODEX, 503, 5, /at capacity/],
  // Twice two tries, because a test has set these; of its own accord it goes on for minutes. To choose a model would add five.
  [GEMINI_CLI, 502, 4, /All services failed/, ['-m', 'gemini-3.5-flash-lite']],
]) {
  test(`${program.name} ends when every provider fails`, async (t) => {
    const proxy = await startCounting(t, { env: ROOMY, faults: Faults.ofAll('server_error') });
    const { ask } = await settle(t, program, proxy);
    assertFailed(await ask('Good morning, proxy', { options }), said);
    const { [status]: asked, ...others } = await proxy.answered(program);
    assert.deepEqual(others, {});
    assert.ok(asked <= requests, `${asked} requests`);
    const called = sum(await proxy.called());
    assert.ok(called <= MAX_ATTEMPTS * asked, `${called} calls`);
  });
}

test('Claude Code asks again, and for all at once, when an answer breaks off', async (t) => {
  const faults = new Faults({ Groq: 'late_error_event' }, { stops: true });
  const proxy = await startCounting(t, { env: ROOMY, faults });
  const { ask } = await settle(t, CLAUDE_CODE, proxy);
  const running = ask('Good morning, proxy');
  // When the answer has a status, its first word is on its way, and nobody else can take over.
  while (!(await proxy.answered(CLAUDE_CODE))[200]);
  faults.goOn();
  assertSaid(await running, /^\[simulated Cerebras\] [^]*Good morning, proxy\nThis answer comes word by word/);
  assert.deepEqual(await proxy.answered(CLAUDE_CODE), { 200: 2 });
});

test('Claude Code asks for another key when the proxy refuses the one it has', async (t) => {
  const proxy = await startCounting(t, { env: { ...ROOMY, PROXY_API_KEY: 'another-key' } });
  const { ask } = await settle(t, CLAUDE_CODE, proxy);
  assertFailed(await ask('Good morning, proxy'), /API key/i);
  assert.equal(sum(await proxy.called()), 0);
});
