// The official Node SDKs of Groq and Cerebras find in the simulator what they find at their providers.

import Cerebras from '@cerebras/cerebras_cloud_sdk';
import Groq from 'groq-sdk';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertIncludes, echo, ERRORS, INSTANCE, PIXEL, SCHEMA, SEEN, thrown, url } from './support.js';

const VENDORS = [
  // The SDK of Groq leaves errors as they are.
  {
    name: 'Groq',
    Sdk: Groq,
    model: 'openai/gpt-oss-20b',
    visionModel: 'qwen/qwen3.8-27b',
    errorIn: (error) => error.error.error,
  },
  {
    name: 'Cerebras',
    Sdk: Cerebras,
    model: 'gpt-oss-120b',
    visionModel: 'qwen-3.8-27b',
    errorIn: (error) => error.error,
  },
];

const REAL_MISTAKES = {
  'wrong key': { key: 'an-invalid-key' },
  'unknown model': { model: 'no-such-model' },
  'unknown field': { verbosity: 'low' },
};

const tool = (name) => ({ type: 'function', function: { name, description: 'Weather', parameters: SCHEMA } });
const TOOLS = [tool('get_weather'), tool('get_time')];

const errorClass = (Sdk, status) =>
  ({
    400: Sdk.BadRequestError,
    401: Sdk.AuthenticationError,
    404: Sdk.NotFoundError,
    429: Sdk.RateLimitError,
  })[status] ?? (status >= 500 ? Sdk.InternalServerError : Sdk.APIError);

for (const vendor of VENDORS) {
  const { name, Sdk, model, visionModel, errorIn } = vendor;
  const client = (apiKey = 'a-key') => new Sdk({ apiKey, baseURL: url(name), maxRetries: 0, timeout: 10_000 });

  /** What a call yields, whole or in chunks, added to `received`. */
  const ask = async (stream, { key, simulate, ...fields } = {}, received = []) => {
    const messages = [{ role: 'user', content: 'Hi' }];
    const headers = simulate ? { 'x-simulate': simulate } : {};
    const answer = await client(key).chat.completions.create({ model, messages, stream, ...fields }, { headers });
    if (stream) for await (const chunk of answer) received.push(chunk);
    else received.push(answer);
    return received;
  };
  const said = (received) => received.map(({ choices: [choice] }) => choice.delta ?? choice.message);
  const text = (received) => said(received).map((piece) => piece.content ?? '').join('');
  const calls = (received) => said(received).flatMap((piece) => piece.tool_calls ?? []);
  const thoughts = (received) => said(received).map((piece) => piece.reasoning ?? '').join('');
  const finishReasons = (received) => received.map(({ choices: [choice] }) => choice.finish_reason ?? null);

  /** Each call comes whole, with no text, and the calls are numbered in a stream. */
  const assertCalls = (stream, received, names) => {
    assert.deepEqual(calls(received).map((call) => call.function.name), names);
    for (const call of calls(received)) {
      assert.deepEqual(JSON.parse(call.function.arguments), INSTANCE);
      assert.equal(call.type, 'function');
      assert.match(call.id, /^[A-Za-z0-9]{9}$/);
    }
    assert.equal(new Set(calls(received).map((call) => call.id)).size, names.length);
    assert.equal(finishReasons(received).at(-1), 'tool_calls');
    // Groq's stream begins with a null; everywhere else there is no content at all.
    const [first, ...others] = said(received);
    assert.equal(first.content, stream && name === 'Groq' ? null : undefined);
    assert.ok(others.every((piece) => piece.content === undefined));
    if (stream) assert.deepEqual(calls(received).map((call) => call.index), [...names.keys()]);
  };

  const assertRefused = (error, row) => {
    assert.equal(error.constructor, errorClass(Sdk, row.http), error);
    assert.equal(error.status, row.http);
    assert.ok(errorIn(error).message.includes(row.says), error.message);
    assertIncludes(errorIn(error), row.error ?? {});
    assertIncludes(Object.fromEntries(new Headers(error.headers)), row.headers ?? {});
  };

  for (const stream of [false, true]) {
    describe(`${name}, ${stream ? 'streamed' : 'whole'}`, () => {
      test('an answer is complete', async () => {
        const received = await ask(stream);
        assert.equal(text(received), echo(name, 'Hi'));
        const object = stream ? 'chat.completion.chunk' : 'chat.completion';
        assert.deepEqual([...new Set(received.map((part) => part.object))], [object]);
        assert.equal(new Set(received.map((part) => part.id)).size, 1);
        assert.ok(received.every((part) => part.model === model && part.system_fingerprint && part.created > 0));
        assert.equal(said(received)[0].role, 'assistant');
        const last = received.at(-1);
        const earlier = received.slice(0, -1);
        assert.equal(earlier.length > 1, stream);
        assert.deepEqual(finishReasons(received), [...earlier.map(() => null), 'stop']);
        assert.ok(earlier.every((part) => part.usage === undefined));
        const { prompt_tokens, completion_tokens, total_tokens } = last.usage;
        assert.ok(prompt_tokens > 0 && completion_tokens > 0);
        assert.equal(total_tokens, prompt_tokens + completion_tokens);
        if (name === 'Cerebras') assert.ok(last.time_info.total_time > 0);
        else if (stream) assert.deepEqual(last.x_groq.usage, last.usage);
      });

      test('thoughts come apart from the text', async () => {
        const received = await ask(stream, { simulate: 'thinking' });
        assert.equal(said(received).map((piece) => piece.reasoning ?? '').join(''), 'Let me think.');
        assert.equal(text(received), 'One, two, three.');
        assert.ok(received.at(-1).usage.completion_tokens_details?.reasoning_tokens > 0);
      });

      test('an answer can end for its length', async () => {
        const received = await ask(stream, { simulate: 'length' });
        assert.equal(text(received), 'One, two, three.');
        assert.equal(finishReasons(received).at(-1), 'length');
      });

      // Groq's types know content_filter in streams only.
      if (name === 'Cerebras' || stream) {
        test('a blocked answer has no text', async () => {
          const received = await ask(stream, { simulate: 'blocked' });
          assert.equal(text(received), '');
          assert.equal(finishReasons(received).at(-1), 'content_filter');
        });
      }

      test('a conversation with a system message is answered at its end', async () => {
        const messages = [
          { role: 'system', content: 'You are terse.' },
          { role: 'user', content: 'One' },
          { role: 'assistant', content: 'Two' },
          { role: 'user', content: 'Hi' },
        ];
        const [short, long] = [await ask(stream), await ask(stream, { messages })];
        assert.equal(text(long), echo(name, 'Hi'));
        assert.ok(long.at(-1).usage.prompt_tokens > short.at(-1).usage.prompt_tokens);
      });

      test('a tool is called', async () => {
        const messages = [{ role: 'user', content: 'Please get_time' }];
        const named = { type: 'function', function: { name: 'get_time' } };
        const cases = [
          [{ simulate: 'tool_call' }, 'get_weather'],
          [{ messages }, 'get_time'],
          [{ tool_choice: 'required' }, 'get_weather'],
          [{ tool_choice: named }, 'get_time'],
        ];
        for (const [how, called] of cases) assertCalls(stream, await ask(stream, { tools: TOOLS, ...how }), [called]);
        const received = await ask(stream, { messages, tools: TOOLS, tool_choice: 'none' });
        assert.equal(text(received), echo(name, 'Please get_time'));
      });

      test('tools are called in parallel', async () => {
        const messages = [{ role: 'user', content: 'get_time and get_weather' }];
        for (const how of [{ simulate: 'parallel_calls' }, { messages }]) {
          assertCalls(stream, await ask(stream, { tools: TOOLS, ...how }), ['get_weather', 'get_time']);
        }
      });

      test('the results of tools are answered', async () => {
        const messages = [{ role: 'user', content: 'get_time and get_weather' }];
        const [{ choices: [{ message }] }] = await ask(false, { messages, tools: TOOLS, reasoning_effort: 'low' });
        const results = message.tool_calls.map(({ id }, index) => ({
          role: 'tool',
          tool_call_id: id,
          content: ['21 degrees', 'noon'][index],
        }));
        // The SDK's own object goes back as it came.
        const received = await ask(stream, { messages: [...messages, message, ...results], tools: TOOLS });
        assert.equal(text(received), 'Tool said: 21 degrees | noon');
        assert.equal(finishReasons(received).at(-1), 'stop');
      });

      test('a garbled call is an error', async () => {
        const error = await thrown(ask(stream, { simulate: 'tool_use_failed', tools: TOOLS }));
        assert.ok(error instanceof Sdk.APIError, error);
        if (stream) {
          // The SDK of Cerebras keeps the error of a stream as the cause.
          const message = name === 'Cerebras' ? error.cause.message : error.message;
          assert.match(message, /Failed to call a function/);
        } else {
          assertRefused(error, { http: 400, says: 'Failed to call', error: { code: 'tool_use_failed' } });
        }
      });

      test('JSON is answered where it is asked for', async () => {
        const messages = [{ role: 'user', content: 'Say JSON' }];
        const received = await ask(stream, { messages, response_format: { type: 'json_object' } });
        assert.deepEqual(JSON.parse(text(received)), { answer: 'Say JSON' });
        const json_schema = { name: 'answer', strict: true, schema: SCHEMA };
        const asking = ask(stream, { response_format: { type: 'json_schema', json_schema } });
        if (name === 'Groq' && stream) assert.equal((await thrown(asking)).status, 400);
        else assert.deepEqual(JSON.parse(text(await asking)), INSTANCE);
      });

      test('an image is seen by models that see', async () => {
        const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } };
        const messages = [{ role: 'user', content: [{ type: 'text', text: 'What is it?' }, image] }];
        const received = await ask(stream, { messages, model: visionModel });
        assert.ok(text(received).includes(`You said: What is it?\n${SEEN}\n`), text(received));
        assert.equal((await thrown(ask(stream, { messages }))).status, 400);
      });

      test('who sets how long to think sees the thoughts', async () => {
        const received = await ask(stream, { reasoning_effort: 'low' });
        assert.equal(thoughts(received), 'I shall echo.');
        assert.equal(text(received), echo(name, 'Hi'));
        const hidden = await ask(stream, { reasoning_effort: 'low', reasoning_format: 'hidden' });
        assert.equal(thoughts(hidden), '');
      });

      for (const [mistake, row] of Object.entries(ERRORS[name])) {
        test(`${mistake} is the SDK's own error`, async () => {
          const error = await thrown(ask(stream, REAL_MISTAKES[mistake] ?? { simulate: mistake }));
          assertRefused(error, row);
        });
      }

      test('a web page is an error with that page', async () => {
        const error = await thrown(ask(stream, { simulate: 'html' }));
        assert.equal(error.constructor, Sdk.InternalServerError);
        assert.equal(error.status, 503);
        assert.match(error.message, /<!DOCTYPE html>/);
      });

      test('a reset is an error of the connection', async () => {
        const received = [];
        const error = await thrown(ask(stream, { simulate: 'reset' }, received));
        assert.match(`${error.message} ${error.cause?.code}`, /terminated|Premature close|ECONNRESET/);
        assert.ok('One, two, '.startsWith(text(received)));
        assert.ok(finishReasons(received).every((reason) => reason === null));
      });
    });
  }

  describe(name, () => {
    for (const [simulate, textBefore] of [['error_event', ''], ['late_error_event', 'One, two, ']]) {
      test(`${simulate} within a stream is raised after the text before it`, async () => {
        const received = [];
        const error = await thrown(ask(true, { simulate }, received));
        assert.equal(text(received), textBefore);
        assert.ok(error instanceof Sdk.APIError, error);
        // The SDK of Cerebras loses the status, because it has no headers at hand, and keeps the rest as the cause.
        const message = name === 'Cerebras' ? error.cause.message : error.message;
        assert.match(message, /over capacity/);
        if (name === 'Groq') assert.equal(error.error.status_code, 503);
      });

      test(`${simulate} while a whole answer is made has its status`, async () => {
        assertRefused(await thrown(ask(false, { simulate })), ERRORS[name].overloaded);
      });
    }

    test('a truncated stream ends without a finish reason', async () => {
      const received = await ask(true, { simulate: 'truncated' });
      assert.equal(text(received), 'One, two, ');
      assert.ok(finishReasons(received).every((reason) => reason === null));
      assert.equal(received.at(-1).usage, undefined);
    });

    test('a truncated whole answer cannot be read', async () => {
      const error = await thrown(ask(false, { simulate: 'truncated' }));
      assert.match(error.message, /JSON/);
    });

    test('models are listed and found', async () => {
      const { data, object } = await client().models.list();
      assert.equal(object, 'list');
      assert.ok(data.some((entry) => entry.id === model));
      assertIncludes(await client().models.retrieve(model), { id: model, object: 'model' });
      const error = await thrown(client().models.retrieve('no-such-model'));
      assert.equal(error.constructor, Sdk.NotFoundError);
      assert.equal(errorIn(error).code, 'model_not_found');
    });
  });
}
