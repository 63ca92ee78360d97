// OpenAI's Node SDK finds in the proxy what it finds at OpenAI, whoever answers.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import {
  assertIncludes,
  CALLS,
  collect,
  echo,
  Faults,
  INSTANCE,
  PIXEL,
  PROVIDERS,
  ROTATIONS,
  SEEN,
  startOverSimulator,
  thrown,
  told,
  TOOLS,
  watch,
  whoIn,
} from './support.js';

/** A client of a proxy, and what it has seen. */
async function connect(test, { maxRetries = 0, prefix = '/v1', apiKey = 'a-key', ...proxy } = {}) {
  const { origin, services } = await startOverSimulator(test, proxy);
  const seen = watch();
  const client = new OpenAI({ apiKey, baseURL: origin + prefix, maxRetries, timeout: 10_000, fetch: seen.fetch });
  return { client, services, ...seen };
}

const call = ({ content = 'Hi', ...fields } = {}) => ({
  model: 'auto',
  messages: [{ role: 'user', content }],
  ...fields,
});

/** How a question is asked; the answer comes out as a whole completion. */
const WAYS = {
  whole: (client, fields) => client.chat.completions.create(call(fields)),
  streamed: async (client, fields) =>
    joined(await collect(await client.chat.completions.create({ ...call(fields), stream: true }))),
  'stream helper': (client, fields) =>
    client.chat.completions.stream({ ...call(fields), stream_options: { include_usage: true } }).finalChatCompletion(),
};

/** What the chunks of a stream make when they are put together by hand. */
function joined(chunks) {
  const message = { role: chunks[0].choices[0].delta.role, content: null };
  for (const { delta } of chunks.map(({ choices: [choice] }) => choice)) {
    message.content = (message.content ?? '') + (delta.content ?? '');
    for (const { index, ...piece } of delta.tool_calls ?? []) {
      message.tool_calls ??= [];
      if (piece.id) message.tool_calls[index] = piece;
      else message.tool_calls[index].function.arguments += piece.function.arguments;
    }
  }
  if (message.tool_calls && message.content === '') message.content = null;
  const { id, model, choices } = chunks.at(-1);
  return { id, model, choices: [{ index: 0, message, finish_reason: choices[0].finish_reason }] };
}

/** Runs `body` with a proxy of each kind. */
const eachRotation = (name, body) => {
  for (const [rotation, { env, trails }] of Object.entries(ROTATIONS)) {
    test(`${name}: ${rotation}`, async (t) => body(await connect(t, { env }), trails));
  }
};

for (const [way, ask] of Object.entries(WAYS)) {
  describe(way, () => {
    eachRotation('an answer is complete whoever gives it', async ({ client, trail, provider, heads }, trails) => {
      for (const expected of trails) {
        const answer = await ask(client);
        assert.equal(trail(), expected);
        const [{ message, finish_reason: finish }] = answer.choices;
        assertIncludes(message, { role: 'assistant', content: echo(provider(), 'Hi') });
        assert.equal(finish, 'stop');
        assert.equal(answer.model, `${provider().toLowerCase()}/${heads.at(-1).headers.get('x-model')}`);
        if (way !== 'streamed') assert.ok(answer.usage.total_tokens > 0);
      }
    });

    eachRotation('tools are called whoever answers', async ({ client, provider, trails: seen }, trails) => {
      for (const [fields, names] of CALLS) {
        for (const _ of trails) {
          const [{ message, finish_reason: finish }] = (await ask(client, { tools: TOOLS, ...fields })).choices;
          const calls = message.tool_calls ?? [];
          assert.deepEqual(
            calls.map((call) => call.function.name),
            names,
          );
          for (const call of calls) assert.deepEqual(JSON.parse(call.function.arguments), INSTANCE);
          assert.ok(calls.every(({ id, type }) => id && type === 'function'));
          assert.equal(new Set(calls.map(({ id }) => id)).size, names.length);
          assert.equal(finish, names.length > 0 ? 'tool_calls' : 'stop');
          if (names.length === 0) assert.equal(message.content, echo(provider(), fields.content));
        }
      }
      assert.deepEqual(whoIn(seen()), whoIn(trails));
    });

    test('everyone answers the results of calls that anyone made', async (t) => {
      const { client, trail } = await connect(t);
      const question = { role: 'user', content: 'get_time and get_weather' };
      for (const caller of PROVIDERS) {
        const asked = { messages: [question], tools: TOOLS };
        const [{ message }] = (await ask(client, { ...asked, model: caller.toLowerCase() })).choices;
        assert.equal(message.tool_calls.length, 2);
        const results = message.tool_calls.map((call, at) => ({
          role: 'tool',
          tool_call_id: call.id,
          content: ['21 degrees', 'noon'][at],
        }));
        for (const provider of PROVIDERS) {
          const messages = [question, message, ...results];
          const answer = await ask(client, { messages, tools: TOOLS, model: provider.toLowerCase() });
          assert.equal(trail(), `${provider}:ok`);
          assert.equal(answer.choices[0].message.content, told(provider, ['21 degrees', 'noon']));
        }
      }
    });

    eachRotation('an image is seen whoever answers', async ({ client, trail }, trails) => {
      const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } };
      for (const expected of trails) {
        const answer = await ask(client, { content: [{ type: 'text', text: 'What is it?' }, image] });
        assert.equal(trail(), expected);
        assert.ok(answer.choices[0].message.content.includes(`You said: What is it?\n${SEEN}\n`));
      }
    });

    test('who fails before the first word is not noticed', async (t) => {
      for (const [fault, reason] of [
        ['overloaded', 'overloaded'],
        ['html_200', 'upstream_error'],
        ['empty', 'empty_answer'],
      ]) {
        const { client, trails } = await connect(t, { faults: new Faults({ Cerebras: fault }) });
        for (let turn = 0; turn < 3; turn += 1) assert.ok((await ask(client)).choices[0].message.content);
        assert.deepEqual(trails(), ['Groq:ok', `Cerebras:${reason}, Gemini:ok`, 'Groq:ok']);
      }
    });
  });
}

const Forecast = z.object({ city: z.string(), days: z.number().int().min(3) });

eachRotation('answers and calls are parsed after a zod schema', async ({ client, trails: seen }, trails) => {
  const format = zodResponseFormat(Forecast, 'forecast');
  const tool = zodFunction({ name: 'get_weather', parameters: Forecast });
  for (const _ of trails) {
    const { message } = (await client.chat.completions.parse(call({ response_format: format }))).choices[0];
    assert.deepEqual(message.parsed, INSTANCE);
  }
  assert.deepEqual(seen(), trails);
  for (const _ of trails) {
    const fields = call({ content: 'get_weather', tools: [tool] });
    const whole = await client.chat.completions.parse(fields);
    const streamed = await client.chat.completions.stream(fields).finalChatCompletion();
    for (const { choices } of [whole, streamed]) {
      assert.deepEqual(choices[0].message.tool_calls[0].function.parsed_arguments, INSTANCE);
    }
  }
  const streamed = await client.chat.completions.stream(call({ response_format: format })).finalChatCompletion();
  assert.deepEqual(streamed.choices[0].message.parsed, INSTANCE);
});

eachRotation(
  'the SDK runs tools by itself, each step by another',
  async ({ client, provider, trails: seen }, trails) => {
    const places = [];
    const run = (place) => places.push(place) && 'sunny';
    const tool = {
      type: 'function',
      function: { name: 'get_weather', parameters: TOOLS[0].function.parameters, parse: JSON.parse, function: run },
    };
    for (const stream of [false, true, false]) {
      const runner = client.chat.completions.runTools({ ...call({ content: 'get_weather', tools: [tool] }), stream });
      assert.equal(await runner.finalContent(), told(provider(), ['sunny']));
    }
    assert.deepEqual(places, [INSTANCE, INSTANCE, INSTANCE]);
    assert.deepEqual(seen().slice(0, 3), trails);
  },
);

for (const prefix of ['/v1', '/openai/v1']) {
  test(`models are listed and found under ${prefix}`, async (t) => {
    const { client } = await connect(t, { prefix });
    const ids = (await collect(client.models.list())).map(({ id }) => id);
    assert.deepEqual(ids.slice(0, 3), ['auto', 'groq', 'groq/openai/gpt-oss-20b']);
    for (const id of [...ids, 'openai/gpt-oss-20b'])
      assertIncludes(await client.models.retrieve(id), { id, object: 'model' });
    const error = await thrown(client.models.retrieve('no/such/model'));
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, 'model_not_found');
    const answer = await client.chat.completions.create(call());
    assert.equal(answer.choices[0].message.content, echo('Groq', 'Hi'));
  });
}

const NO_KEYS = { GROQ_API_KEY: '', CEREBRAS_API_KEY: '', GOOGLE_API_KEY: '' };
const INVALID = 'invalid_request_error';

// What goes wrong, and what the client is to make of it.
const REFUSALS = {
  'field out of range': [
    OpenAI.BadRequestError,
    400,
    { type: INVALID, param: 'temperature' },
    { fields: { temperature: 9 } },
  ],
  'several answers': [OpenAI.BadRequestError, 400, { type: INVALID, param: 'n' }, { fields: { n: 2 } }],
  'too long for everyone': [
    OpenAI.BadRequestError,
    400,
    { type: INVALID, code: 'context_length_exceeded' },
    { faults: Faults.ofAll('context_too_long') },
  ],
  'wrong client key': [
    OpenAI.AuthenticationError,
    401,
    { type: 'authentication_error', code: 'invalid_api_key' },
    { env: { PROXY_API_KEY: 'right' } },
  ],
  'wrong origin': [
    OpenAI.PermissionDeniedError,
    403,
    { type: 'permission_error' },
    { env: { CORS_ORIGINS: 'https://one.example' }, headers: { origin: 'https://other.example' } },
  ],
  'unknown model': [
    OpenAI.NotFoundError,
    404,
    { type: INVALID, code: 'model_not_found', param: 'model' },
    { fields: { model: 'gpt-5' } },
  ],
  'too large': [OpenAI.APIError, 413, { type: INVALID }, { env: { MAX_BODY_BYTES: '10' } }],
  'everyone at the limit': [
    OpenAI.RateLimitError,
    429,
    { type: 'rate_limit_error', code: 'rate_limit_exceeded' },
    { faults: Faults.ofAll('rate_limited'), requests: 2 },
  ],
  'no key is accepted': [
    OpenAI.InternalServerError,
    502,
    { type: 'server_error' },
    { faults: Faults.ofAll('bad_key') },
  ],
  'no keys': [OpenAI.InternalServerError, 503, { type: 'server_error' }, { env: NO_KEYS }],
};

for (const way of ['whole', 'streamed', 'stream helper']) {
  describe(`${way}, refused`, () => {
    for (const [name, [Class, status, body, { fields, headers, requests = 1, ...proxy }]] of Object.entries(REFUSALS)) {
      test(name, async (t) => {
        const { client, heads } = await connect(t, { ...proxy, maxRetries: 1 });
        const error = await thrown(
          WAYS[way](headers ? client.withOptions({ defaultHeaders: headers }) : client, fields),
        );
        assert.equal(error.constructor, Class);
        assert.equal(error.status, status);
        assertIncludes(error.error, body);
        assert.ok(error.message.includes(error.error.message));
        assert.ok(error.requestID);
        // Once more only if that may help.
        assert.equal(heads.length, requests);
      });
    }
  });
}

describe('an answer that breaks off', () => {
  for (const fault of ['late_error_event', 'truncated']) {
    for (const way of ['streamed', 'stream helper']) {
      test(`is an error: ${fault}, ${way}`, async (t) => {
        const faults = Faults.ofAll(fault, { stops: true });
        // The connection is closed after it, which some notice only when they ask again.
        const { client, provider } = await connect(t, { faults, maxRetries: 2 });
        for (const expected of PROVIDERS) {
          let text = '';
          const read = async () => {
            const fields = { ...call(), stream: true };
            const { create, stream } = client.chat.completions;
            const chunks = await (way === 'streamed' ? create : stream).call(client.chat.completions, fields);
            for await (const chunk of chunks) {
              if (text === '' && chunk.choices[0].delta.content) faults.goOn();
              text += chunk.choices[0].delta.content ?? '';
            }
          };
          const error = await thrown(read());
          assert.ok(error instanceof OpenAI.APIError, `${error}`);
          assert.equal(provider(), expected);
          assert.equal(text, 'One, two, ');
          assert.ok(error.message.includes(expected));
          assertIncludes(error.error, { type: 'server_error', code: 'upstream_error' });
        }
      });
    }
    test(`is nothing of the kind when nothing was said: ${fault}`, async (t) => {
      const { client, trails } = await connect(t, { faults: new Faults({ Cerebras: fault }) });
      for (let turn = 0; turn < 3; turn += 1) await WAYS.whole(client);
      assert.match(trails()[1], /^Cerebras:(overloaded|broken_stream), Gemini:ok$/);
    });
  }
});

test('a client that leaves ends the answer, which is no failure', async (t) => {
  const { client, services } = await connect(t);
  for (const _ of PROVIDERS) {
    const stream = await client.chat.completions.create({ ...call(), stream: true });
    for await (const _ of stream) break;
  }
  assert.deepEqual(await services(), Object.fromEntries(PROVIDERS.map((name) => [name, { count: 1, failures: 0 }])));
});
