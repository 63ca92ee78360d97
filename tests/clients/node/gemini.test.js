// The official Node SDK of Gemini finds in the simulator what it finds at Google.

import { ApiError, BlockedReason, FinishReason, GoogleGenAI } from '@google/genai';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertIncludes, echo, ERRORS, thrown, url } from './support.js';

const MODEL = 'gemini-3.5-flash-lite';

const REAL_MISTAKES = {
  'wrong key': { key: 'an-invalid-key' },
  'unknown model': { model: 'no-such-model' },
  'unknown field': { extraBody: { verbosity: 'low' } },
};

const client = (apiKey = 'a-key') =>
  new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url('Gemini'), timeout: 10_000 } });

/** What a call yields, whole or in chunks, added to `received`. */
async function ask(stream, options = {}, received = []) {
  const { key, model = MODEL, contents = 'Hi', simulate, extraBody, ...config } = options;
  const headers = simulate ? { 'x-simulate': simulate } : {};
  const call = { model, contents, config: { ...config, httpOptions: { headers, extraBody } } };
  const { models } = client(key);
  if (stream) for await (const chunk of await models.generateContentStream(call)) received.push(chunk);
  else received.push(await models.generateContent(call));
  return received;
}

const said = (received) => received.flatMap((part) => part.candidates[0].content.parts);
const text = (received) => said(received).map((piece) => (piece.thought ? '' : piece.text)).join('');
const finishReasons = (received) => received.map((part) => part.candidates[0].finishReason ?? null);

/** The error in the text of an ApiError, whatever stands before it. */
const errorIn = ({ message }) => JSON.parse(message.slice(message.indexOf('{'))).error;

function assertRefused(error, row) {
  assert.ok(error instanceof ApiError, error);
  assert.equal(error.status, row.http);
  assert.ok(errorIn(error).message.includes(row.says), error.message);
  assertIncludes(errorIn(error), row.error);
}

for (const stream of [false, true]) {
  describe(`Gemini, ${stream ? 'streamed' : 'whole'}`, () => {
    test('an answer is complete', async () => {
      const received = await ask(stream);
      assert.equal(text(received), echo('Gemini', 'Hi'));
      assert.equal(received.map((part) => part.text).join(''), text(received));
      assert.equal(new Set(received.map((part) => part.responseId)).size, 1);
      assert.ok(received.every((part) => part.modelVersion === MODEL));
      const earlier = received.slice(0, -1);
      assert.equal(earlier.length > 1, stream);
      assert.deepEqual(finishReasons(received), [...earlier.map(() => null), FinishReason.STOP]);
      const { promptTokenCount, candidatesTokenCount, thoughtsTokenCount, totalTokenCount } =
        received.at(-1).usageMetadata;
      assert.ok(promptTokenCount > 0 && candidatesTokenCount > 0);
      assert.equal(totalTokenCount, promptTokenCount + candidatesTokenCount);
      assert.equal(thoughtsTokenCount, undefined);
    });

    test('thoughts come apart from the text', async () => {
      const received = await ask(stream, { simulate: 'thinking', thinkingConfig: { includeThoughts: true } });
      assert.equal(said(received).map((piece) => (piece.thought ? piece.text : '')).join(''), 'Let me think.');
      assert.equal(text(received), 'One, two, three.');
      assert.ok(received.at(-1).usageMetadata.thoughtsTokenCount > 0);
    });

    test('an answer can end for its length', async () => {
      const received = await ask(stream, { simulate: 'length' });
      assert.equal(text(received), 'One, two, three.');
      assert.equal(finishReasons(received).at(-1), FinishReason.MAX_TOKENS);
    });

    test('a blocked prompt has no candidates', async () => {
      const [answer] = await ask(stream, { simulate: 'blocked' });
      assert.equal(answer.candidates, undefined);
      assert.equal(answer.text, undefined);
      assert.equal(answer.promptFeedback.blockReason, BlockedReason.PROHIBITED_CONTENT);
    });

    test('a conversation with a system instruction is answered at its end', async () => {
      const turns = [['user', 'One'], ['model', 'Two'], ['user', 'Hi']];
      const contents = turns.map(([role, words]) => ({ role, parts: [{ text: words }] }));
      const short = await ask(stream);
      const long = await ask(stream, { contents, systemInstruction: 'You are terse.' });
      assert.equal(text(long), echo('Gemini', 'Hi'));
      const tokens = (received) => received.at(-1).usageMetadata.promptTokenCount;
      assert.ok(tokens(long) > tokens(short));
    });

    for (const [mistake, row] of Object.entries(ERRORS.Gemini)) {
      test(`${mistake} is the SDK's own error`, async () => {
        const error = await thrown(ask(stream, REAL_MISTAKES[mistake] ?? { simulate: mistake }));
        assertRefused(error, row);
      });
    }

    test('a web page is an error with that page', async () => {
      const error = await thrown(ask(stream, { simulate: 'html' }));
      assert.ok(error instanceof ApiError, error);
      assert.equal(error.status, 503);
      assert.match(errorIn(error).message, /^<!DOCTYPE html>/);
    });

    test('a reset is an error of the connection', async () => {
      const received = [];
      const error = await thrown(ask(stream, { simulate: 'reset' }, received));
      assert.match(error.message, /terminated/);
      assert.ok('One, two, '.startsWith(text(received)));
      assert.ok(finishReasons(received).every((reason) => reason === null));
    });
  });
}

describe('Gemini', () => {
  for (const [simulate, textBefore] of [['error_event', ''], ['late_error_event', 'One, two, ']]) {
    test(`${simulate} within a stream is raised after the text before it`, async () => {
      const received = [];
      const error = await thrown(ask(true, { simulate }, received));
      assert.equal(text(received), textBefore);
      assert.ok(error instanceof ApiError, error);
      assert.equal(error.status, 503);
      assertIncludes(errorIn(error), { code: 503, status: 'UNAVAILABLE' });
    });

    test(`${simulate} while a whole answer is made has its status`, async () => {
      assertRefused(await thrown(ask(false, { simulate })), ERRORS.Gemini.overloaded);
    });
  }

  test('a truncated stream ends without a finish reason', async () => {
    const received = await ask(true, { simulate: 'truncated' });
    assert.equal(text(received), 'One, two, ');
    assert.ok(finishReasons(received).every((reason) => reason === null));
  });

  test('a truncated whole answer cannot be read', async () => {
    const error = await thrown(ask(false, { simulate: 'truncated' }));
    assert.match(error.message, /JSON/);
  });

  test('a chat keeps its history', async () => {
    const chat = client().chats.create({ model: MODEL });
    assert.equal((await chat.sendMessage({ message: 'One' })).text, echo('Gemini', 'One'));
    const received = [];
    for await (const chunk of await chat.sendMessageStream({ message: 'Two' })) received.push(chunk);
    assert.equal(text(received), echo('Gemini', 'Two'));
    const roles = chat.getHistory().map((content) => content.role);
    assert.deepEqual(roles.slice(0, 4), ['user', 'model', 'user', 'model']);
  });

  test('models are listed and found', async () => {
    const { models } = client();
    const listed = [];
    for await (const model of await models.list()) listed.push(model);
    const entry = listed.find((model) => model.name === `models/${MODEL}`);
    assert.ok(entry.supportedActions.includes('generateContent'));
    assert.ok(entry.inputTokenLimit > entry.outputTokenLimit);
    assert.equal((await models.get({ model: MODEL })).displayName, entry.displayName);
    const error = await thrown(models.get({ model: 'no-such-model' }));
    assert.ok(error instanceof ApiError, error);
    assert.equal(error.status, 404);
    assert.equal(errorIn(error).status, 'NOT_FOUND');
  });
});
