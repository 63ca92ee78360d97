// An SSE parser that knows nothing of the proxy reads its streams.

import { EventSourceParserStream } from 'eventsource-parser/stream';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GREETING, echo, startOverSimulator, startProxy } from './support.js';

const QUESTION = '¿Qué tal? 🎈';

/** The head of the answer to a question. */
const ask = (proxy) =>
  fetch(`${proxy.origin}/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: QUESTION }] }),
  });

/** The data of all events but the end mark, of which the parser must have nothing to complain. */
async function read(response) {
  const complaints = [];
  const parser = new EventSourceParserStream({ onError: (error) => complaints.push(error) });
  const events = [];
  for await (const event of response.body.pipeThrough(new TextDecoderStream()).pipeThrough(parser)) events.push(event);
  assert.deepEqual(complaints, []);
  assert.ok(events.every(({ id, event, data }) => id === undefined && event === undefined && !data.includes('\n')));
  assert.equal(events.pop().data, '[DONE]');
  return events.map(({ data }) => JSON.parse(data));
}

const text = (said) => said.map(({ content }) => content).join('');

test('every event is one line of JSON with content, and the last one says how it ended', async (t) => {
  const response = await ask(await startOverSimulator(t));
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  const said = await read(response);
  assert.ok(said.length > 2);
  assert.ok(said.every(({ content }) => typeof content === 'string'));
  assert.equal(text(said), echo('Groq', QUESTION));
  const { content, usage, ...end } = said.pop();
  assert.deepEqual(end, { finish_reason: 'stop', provider: 'Groq', model: 'openai/gpt-oss-20b' });
  assert.ok(usage.prompt_tokens > 0 && usage.completion_tokens > 0);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  assert.ok(said.every((event) => Object.keys(event).join() === 'content'));
});

test('every provider of the demo speaks the same, and others take over when one has no room', async (t) => {
  const proxy = await startProxy(t);
  const answers = [];
  for (let turn = 0; turn < 11; turn += 1) {
    // The next question is asked when this answer has begun; all are read at the same time.
    const response = await ask(proxy);
    answers.push({ headers: response.headers, said: read(response) });
  }
  const providers = answers.map(({ headers }) => headers.get('x-provider'));
  for (const [turn, { said }] of answers.entries()) {
    assert.equal(text(await said), GREETING);
    assert.equal((await said).at(-1).provider, providers[turn]);
  }
  assert.deepEqual(providers.slice(0, 3), ['Groq', 'Cerebras', 'Gemini']);
  // Groq's free plan has no room for four answers a minute: of its 8,000 tokens each may take more than 4,000.
  const passedOver = answers.filter(({ headers }) => headers.get('x-attempts').startsWith('Groq:cooling_down, '));
  assert.ok(passedOver.length > 0, providers.join());
});
