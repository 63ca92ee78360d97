// Anthropic's Node SDK finds in the proxy what it finds at Anthropic, whoever answers.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { z } from 'zod';
import {
  echo,
  Faults,
  INSTANCE,
  PIXEL,
  PROVIDERS,
  ROTATIONS,
  SCHEMA,
  SEEN,
  startOverSimulator,
  thrown,
  watch,
} from './support.js';

/** A client of a proxy, and what it has seen. */
async function connect(test, { maxRetries = 0, prefix = '', apiKey = 'a-key', ...proxy } = {}) {
  const { origin, services } = await startOverSimulator(test, proxy);
  const seen = watch();
  const client = new Anthropic({ apiKey, baseURL: origin + prefix, maxRetries, timeout: 10_000, fetch: seen.fetch });
  return { client, services, ...seen };
}

const call = ({ content = 'Hi', messages = [{ role: 'user', content }], ...fields } = {}) => ({
  model: 'auto',
  max_tokens: 1024,
  messages,
  ...fields,
});

/** How a question is asked; the answer comes out as a whole message. */
const WAYS = {
  whole: (client, fields) => client.messages.create(call(fields)),
  'stream helper': (client, fields) => client.messages.stream(call(fields)).finalMessage(),
};

const TOOLS = ['get_weather', 'get_time'].map((name) => ({ name, description: 'Weather', input_schema: SCHEMA }));
const PINS = PROVIDERS.map((provider) => [provider, provider.toLowerCase()]);

for (const [way, ask] of Object.entries(WAYS)) {
  describe(way, () => {
    for (const [rotation, { env, trails }] of Object.entries(ROTATIONS)) {
      test(`everybody answers when ${rotation}`, async (t) => {
        const { client, trail, provider } = await connect(t, { env });
        for (const expected of trails) {
          const answer = await ask(client, {});
          assert.equal(trail(), expected);
          assert.deepEqual(answer.content.map(({ text }) => text), [echo(provider(), 'Hi')]);
          assert.deepEqual([answer.role, answer.stop_reason], ['assistant', 'end_turn']);
          assert(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
        }
      });
    }

    test('tools are called and their results come back', async (t) => {
      const { client } = await connect(t);
      for (const [provider, model] of PINS) {
        const question = { role: 'user', content: 'get_weather and get_time' };
        const answer = await ask(client, { messages: [question], model, tools: TOOLS });
        const calls = answer.content.filter(({ type }) => type === 'tool_use');
        assert.deepEqual(calls.map(({ name, input }) => [name, input]), [['get_weather', INSTANCE], ['get_time', INSTANCE]]);
        assert.equal(answer.stop_reason, 'tool_use');
        const results = calls.map(({ id, name }) => ({ type: 'tool_result', tool_use_id: id, content: `${name} is done` }));
        const messages = [question, { role: 'assistant', content: answer.content }, { role: 'user', content: results.reverse() }];
        const told = await ask(client, { messages, model, tools: TOOLS });
        assert.match(told.content[0].text, /^Tool said: .*get_weather is done.*get_time is done/, provider);
      }
    });

    test('images are seen by who can see', async (t) => {
      const { client } = await connect(t);
      const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PIXEL } };
      const answer = await ask(client, { content: [image, { type: 'text', text: 'Look' }] });
      assert(answer.content[0].text.includes(SEEN));
    });

    test('thoughts are shown to who asks for them', async (t) => {
      const { client } = await connect(t, { faults: Faults.ofAll('thinking') });
      for (const [, model] of PINS) {
        const shown = await ask(client, { model, thinking: { type: 'enabled', budget_tokens: 1024 } });
        assert.deepEqual(shown.content.map(({ type }) => type), ['thinking', 'text']);
        assert.equal(shown.content[0].thinking, 'Let me think.');
        const hidden = await ask(client, { model });
        assert.deepEqual(hidden.content.map(({ type }) => type), ['text']);
      }
    });
  });
}

test('the pieces of the stream helper are the answer', async (t) => {
  const { client, provider } = await connect(t);
  for (const _ of PROVIDERS) {
    let said = '';
    await client.messages.stream(call()).on('text', (text) => (said += text)).done();
    assert.equal(said, echo(provider(), 'Hi'));
  }
});

test("the SDK's own loop over tools ends with the answer", async (t) => {
  const { client } = await connect(t);
  const weather = betaZodTool({
    name: 'get_weather',
    description: 'Weather',
    inputSchema: z.object({ city: z.string() }),
    run: ({ city }) => `rain in ${city}`,
  });
  for (const [, model] of PINS) {
    const answer = await client.beta.messages.toolRunner({ ...call({ content: 'get_weather', model }), tools: [weather] });
    assert(answer.content[0].text.includes('rain in text'));
  }
});

test('answers are parsed', async (t) => {
  const { client } = await connect(t);
  const format = zodOutputFormat(z.object({ city: z.string(), days: z.number() }));
  for (const [, model] of PINS) {
    const answer = await client.messages.parse(call({ model, output_config: { format } }));
    assert.equal(typeof answer.parsed_output.city, 'string');
  }
});

test('tokens are counted and models are listed', async (t) => {
  const { client } = await connect(t);
  const { model, messages } = call({ model: 'claude-opus-5-5' });
  const { input_tokens: tokens } = await client.messages.countTokens({ model, messages });
  assert(tokens > 0 && tokens < 20);
  const models = [];
  for await (const { id } of client.models.list({ limit: 1000 })) models.push(id);
  assert(models.includes('anthropic/auto'));
  assert.equal((await client.models.retrieve(models[1])).id, models[1]);
});

test('what comes late is raised with what came before', async (t) => {
  const faults = Faults.ofAll('late_error_event', { stops: true });
  const { client, provider, services } = await connect(t, { faults, maxRetries: 2 });
  for (const name of PROVIDERS) {
    let said = '';
    const stream = client.messages.stream(call()).on('text', (text) => {
      said += text;
      if (text === 'One, ') faults.goOn();
    });
    const error = await thrown(stream.done());
    assert(error instanceof Anthropic.APIError && error.message.includes(name), error);
    assert.deepEqual([provider(), said], [name, 'One, two, ']);
  }
  for (const { count } of Object.values(await services())) assert.equal(count, 1, 'nothing is asked for again');
});

const MODELS = { GROQ_MODEL: 'openai/gpt-oss-20b', CEREBRAS_MODEL: 'gpt-oss-120b', GEMINI_MODEL: 'gemini-3.8-flash' };

for (const [fault, raised, status, kind, requests] of [
  // A limit that is over in two seconds is waited for and met again; the rest is final.
  ['rate_limited', Anthropic.RateLimitError, 429, 'rate_limit_error', 3],
  ['server_error', Anthropic.InternalServerError, 502, 'api_error', 1],
  ['bad_key', Anthropic.InternalServerError, 502, 'api_error', 1],
  ['bad_request', Anthropic.BadRequestError, 400, 'invalid_request_error', 1],
]) {
  test(`${fault} of all has its exception and costs few calls`, async (t) => {
    const env = { ...MODELS, MAX_WAIT_MS: '0' };
    const { client, heads, services } = await connect(t, { faults: Faults.ofAll(fault), env, maxRetries: 2 });
    const error = await thrown(client.messages.create(call()));
    assert(error instanceof raised, error);
    assert.deepEqual([error.status, error.error.error.type], [status, kind]);
    assert.equal(error.requestID, heads.at(-1).headers.get('x-request-id'));
    assert.equal(heads.length, requests);
    for (const { count } of Object.values(await services())) assert(count >= 1 && count <= requests);
  });
}

test('a base URL that ends in /v1 is told so', async (t) => {
  const { client } = await connect(t, { prefix: '/v1' });
  const error = await thrown(client.messages.create(call()));
  assert(error instanceof Anthropic.NotFoundError && error.message.includes('leave /v1 out of the base URL'), error);
});
