// The official Node SDK of Gemini finds in the simulator what it finds at Google.

import { ApiError, BlockedReason, FinishReason, GoogleGenAI } from '@google/genai';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertIncludes, echo, ERRORS, INSTANCE, PIXEL, SCHEMA, SEEN, thrown, url } from './support.js';

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
const text = (received) => said(received).map((piece) => (piece.thought ? '' : piece.text ?? '')).join('');
const calls = (received) => said(received).flatMap((piece) => piece.functionCall ?? []);
const finishReasons = (received) => received.map((part) => part.candidates[0].finishReason ?? null);

const declared = (name) => ({ name, description: 'Weather', parametersJsonSchema: SCHEMA });
const TOOLS = [{ functionDeclarations: [declared('get_weather'), declared('get_time')] }];
const calling = (mode, ...names) => ({
  functionCallingConfig: { mode, ...(names.length && { allowedFunctionNames: names }) },
});

/** Each call comes whole, only the first is signed, and the reason to end is the usual one. */
function assertCalls(received, names) {
  assert.deepEqual(calls(received), names.map((name) => ({ name, args: INSTANCE })));
  const signed = said(received).flatMap((piece) => (piece.functionCall ? Boolean(piece.thoughtSignature) : []));
  assert.deepEqual(signed, names.map((_, index) => index === 0));
  assert.equal(finishReasons(received).at(-1), FinishReason.STOP);
  assert.equal(text(received), '');
}

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

    test('a tool is called', async () => {
      const cases = [
        [{ simulate: 'tool_call' }, 'get_weather'],
        [{ contents: 'Please get_time' }, 'get_time'],
        [{ toolConfig: calling('ANY') }, 'get_weather'],
        [{ toolConfig: calling('ANY', 'get_time') }, 'get_time'],
      ];
      for (const [how, called] of cases) assertCalls(await ask(stream, { tools: TOOLS, ...how }), [called]);
      const received = await ask(stream, { contents: 'get_time', tools: TOOLS, toolConfig: calling('NONE') });
      assert.equal(text(received), echo('Gemini', 'get_time'));
    });

    test('tools are called in parallel', async () => {
      for (const how of [{ simulate: 'parallel_calls' }, { contents: 'get_time and get_weather' }]) {
        assertCalls(await ask(stream, { tools: TOOLS, ...how }), ['get_weather', 'get_time']);
      }
    });

    test('the results of tools are answered if the signature comes back', async () => {
      const question = { role: 'user', parts: [{ text: 'get_time and get_weather' }] };
      const thinkingConfig = { includeThoughts: true, thinkingLevel: 'LOW' };
      const received = await ask(stream, { contents: [question], tools: TOOLS, thinkingConfig });
      // The chunks of a stream go back as they came.
      const turns = received.map((part) => part.candidates[0].content);
      const parts = calls(received).map(({ name }) => ({ functionResponse: { name, response: { result: name } } }));
      const history = (turns) => [question, ...turns, { role: 'user', parts }];
      const answered = await ask(stream, { contents: history(turns), tools: TOOLS });
      assert.equal(text(answered), 'Tool said: {"result":"get_weather"} | {"result":"get_time"}');
      const unsigned = turns.map((turn) => ({
        ...turn,
        parts: turn.parts.map(({ thoughtSignature, ...part }) => part),
      }));
      const error = await thrown(ask(stream, { contents: history(unsigned), tools: TOOLS }));
      const says = 'Function call is missing a thought_signature in functionCall parts.';
      assertRefused(error, { http: 400, says, error: { code: 400, status: 'INVALID_ARGUMENT' } });
    });

    test('a garbled call ends the answer', async () => {
      const [answer] = await ask(stream, { simulate: 'tool_use_failed', tools: TOOLS });
      assert.equal(answer.candidates[0].finishReason, FinishReason.MALFORMED_FUNCTION_CALL);
      assert.equal(answer.candidates[0].content.parts, undefined);
    });

    test('JSON is answered where it is asked for', async () => {
      const json = { responseMimeType: 'application/json' };
      const received = await ask(stream, { contents: 'Say JSON', ...json });
      assert.deepEqual(JSON.parse(text(received)), { answer: 'Say JSON' });
      const { properties, required } = SCHEMA;
      const schemas = [{ responseJsonSchema: SCHEMA }, { responseSchema: { type: 'OBJECT', properties, required } }];
      for (const schema of schemas) {
        assert.deepEqual(JSON.parse(text(await ask(stream, { ...json, ...schema }))), INSTANCE);
      }
    });

    test('an image is seen', async () => {
      const image = { inlineData: { mimeType: 'image/png', data: PIXEL } };
      const received = await ask(stream, { contents: [{ text: 'What is it?' }, image] });
      assert.ok(text(received).includes(`You said: What is it?\n${SEEN}\n`), text(received));
    });

    test('who asks for thoughts sees them first', async () => {
      const received = await ask(stream, { thinkingConfig: { includeThoughts: true } });
      assert.deepEqual(said(received).flatMap((piece) => (piece.thought ? piece.text : [])), ['I shall echo.']);
      assert.ok(said(received)[0].thought);
      assert.equal(text(received), echo('Gemini', 'Hi'));
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

  test('a chat takes a signed call back, streamed or not', async () => {
    for (const stream of [false, true]) {
      const chat = client().chats.create({ model: MODEL, config: { tools: TOOLS } });
      const send = async (message) => {
        if (!stream) return [await chat.sendMessage({ message })];
        const received = [];
        for await (const chunk of await chat.sendMessageStream({ message })) received.push(chunk);
        return received;
      };
      assertCalls(await send('get_time'), ['get_time']);
      const functionResponse = { name: 'get_time', response: { result: 'noon' } };
      assert.equal(text(await send([{ functionResponse }])), 'Tool said: {"result":"noon"}');
      assert.equal(text(await send('And now?')), echo('Gemini', 'And now?'));
    }
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
