// How much a program sends, and what becomes of it where the plans or the models are small.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLAUDE_CODE, CODEX, GEMINI_CLI, settle } from './programs.js';
import { assertFailed, assertSaid, Faults, ROOMY, startCounting, sum } from './support.js';

const ONLY_GROQ = { CEREBRAS_API_KEY: '', GOOGLE_API_KEY: '' };
const SMALL_PLAN = { GROQ_LIMITS: 'rpm=30,tpm=6000' };
const PLAN_OF_GROQ = { GROQ_LIMITS: 'rpm=30,tpm=8000' };

for (const [program, requests, said, options] of [
  [CLAUDE_CODE, 1, /Prompt is too long · the request is ~1\d{4} tokens \(limit 6000\)/],
  [CODEX, 1, /ran out of room/],
  // With a model, so that it does not ask first which one to take: that question has room.
  [GEMINI_CLI, 1, /6,?000/, ['-m', 'gemini-3.5-flash-lite']],
]) {
  test(`${program.name} is answered by those whose plan has room, and Groq is not called`, async (t) => {
    const proxy = await startCounting(t, { env: SMALL_PLAN });
    const { ask } = await settle(t, program, proxy);
    assertSaid(await ask('Good morning, proxy'), /\[simulated (Cerebras|Gemini)\] You said: /);
    assert.equal((await proxy.called()).Groq, 0);
  });

  test(`${program.name} says that no plan is large enough for it, asks no more and costs no call`, async (t) => {
    const proxy = await startCounting(t, { env: { ...SMALL_PLAN, ...ONLY_GROQ } });
    const { ask } = await settle(t, program, proxy);
    assertFailed(await ask('Good morning, proxy', { options }), said);
    assert.deepEqual(await proxy.answered(program), { 400: requests });
    assert.equal(sum(await proxy.called()), 0);
  });
}

test('Claude Code with few tools fits into the free plan of Groq', async (t) => {
  const proxy = await startCounting(t, { env: { ...PLAN_OF_GROQ, ...ONLY_GROQ } });
  const { ask } = await settle(t, CLAUDE_CODE, proxy);
  const ran = await ask('Good morning, proxy', { options: ['--tools', 'Bash,Read,Edit,Write'] });
  assertSaid(ran, /\[simulated Groq\] You said: /);
});

/** A text of about so many tokens. */
const tokens = (count) => 'lorem ipsum dolor '.repeat(count / 4.5);

test('Claude Code sums up by itself what has become too long, and goes on', async (t) => {
  // Such a window has room for the first question, its answer and a summary, but not for the second question on top.
  const isTooLong = ({ 'content-length': bytes }) => (bytes > 240_000 ? 'context_too_long' : 'none');
  const proxy = await startCounting(t, { env: { ...ROOMY, ...ONLY_GROQ }, faults: new Faults({ Groq: isTooLong }) });
  const { ask } = await settle(t, CLAUDE_CODE, proxy);
  // The request for a summary names all tools, which the simulated model would take for an order.
  const options = ['--tools', ''];
  assertSaid(await ask('The first question', { input: tokens(22_000), options }), /The first question/);
  assert.deepEqual(await proxy.answered(CLAUDE_CODE), { 200: 1 });
  assertSaid(await ask('The second question', { input: tokens(22_000), options: [...options, '--continue'] }), /The second question/);
  assert.deepEqual(await proxy.answered(CLAUDE_CODE), { 200: 3, 400: 1 }, 'too long, a summary, the question again');
});

test('Claude Code sums up in time if it is told the window', async (t) => {
  const proxy = await startCounting(t, { env: ROOMY });
  const { ask } = await settle(t, CLAUDE_CODE, proxy);
  const variables = { ANTHROPIC_MODEL: 'auto', CLAUDE_CODE_MAX_CONTEXT_TOKENS: '65000' };
  const options = ['--tools', ''];
  assertSaid(await ask('The first question', { input: tokens(22_000), options, variables }), /The first question/);
  const next = { input: tokens(22_000), options: [...options, '--continue'], variables };
  assertSaid(await ask('The second question', next), /The second question/);
  assert.deepEqual(await proxy.answered(CLAUDE_CODE), { 200: 3 }, 'the summary is one of them');
});
