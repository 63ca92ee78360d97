// OpenAI's Node SDK finds its responses in the proxy, whoever answers.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import OpenAI from 'openai';
import { zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import {
  collect,
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
async function connect(test, { maxRetries = 0, apiKey = 'a-key', ...proxy } = {}) {
  const { origin, services } = await startOverSimulator(test, proxy);
  const seen = watch();
  const client = new OpenAI({ apiKey, baseURL: `${origin}/v1`, maxRetries, timeout: 10_000, fetch: seen.fetch });
  return { client, services, ...seen };
}

const call = ({ input = 'Hi', ...fields } = {}) => ({ model: 'auto', input, ...fields });

/** How a question is asked; the answer comes out as a whole response. */
const WAYS = {
  whole: (client, fields) => client.responses.create(call(fields)),
  streamed: async (client, fields) => {
    const events = await collect(await client.responses.create({ ...call(fields), stream: true }));
    return { ...events.at(-1).response, output_text: joined(events) };
  },
  'stream helper': (client, fields) => client.responses.stream(call(fields)).finalResponse(),
};

const joined = (events) =>
  events
    .filter(({ type }) => type === 'response.output_text.delta')
    .map(({ delta }) => delta)
    .join('');

const tool = (name) => ({ type: 'function', name, description: 'Weather', parameters: SCHEMA, strict: false });
const TOOLS = [tool('get_weather'), tool('get_time')];
const pins = PROVIDERS.map((provider) => [provider, provider.toLowerCase()]);

for (const [way, ask] of Object.entries(WAYS)) {
  describe(way, () => {
    for (const [name, { env, trails }] of Object.entries(ROTATIONS)) {
      test(`everybody answers in turn: ${name}`, async (t) => {
        const { client, trail, provider } = await connect(t, { env });
        for (const expected of trails) {
          const answer = await ask(client);
          assert.equal(trail(), expected);
          assert.equal(answer.output_text, echo(provider(), 'Hi'));
          assert.equal(answer.status, 'completed');
          assert.ok(answer.usage.total_tokens > 0);
        }
      });
    }

    test('tools are called and their results come back', async (t) => {
      const { client } = await connect(t);
      for (const [provider, model] of pins) {
        const question = { role: 'user', content: 'get_weather and get_time' };
        const answer = await ask(client, { input: [question], model, tools: TOOLS });
        const calls = answer.output.filter(({ type }) => type === 'function_call');
        assert.deepEqual(
          calls.map(({ name, arguments: written }) => [name, JSON.parse(written)]),
          [
            ['get_weather', INSTANCE],
            ['get_time', INSTANCE],
          ],
        );
        const results = [
          { type: 'function_call_output', call_id: calls[1].call_id, output: 'noon' },
          { type: 'function_call_output', call_id: calls[0].call_id, output: 'rain' },
        ];
        // The SDK's own history, and the proxy's.
        const ways = [
          { input: [question, ...answer.output, ...results] },
          { input: results, previous_response_id: answer.id },
        ];
        for (const fields of ways) {
          const told = (await ask(client, { ...fields, model, tools: TOOLS })).output_text;
          assert.match(told, /^Tool said: .*rain.*noon/, provider);
        }
      }
    });

    test('a tool may take a text', async (t) => {
      const { client } = await connect(t);
      const tools = [{ type: 'custom', name: 'run', description: 'Runs code' }];
      for (const [, model] of pins) {
        const answer = await ask(client, { model, tools, tool_choice: 'required' });
        const { type, name, input } = answer.output.at(-1);
        assert.deepEqual([type, name, input], ['custom_tool_call', 'run', 'text']);
      }
    });

    test('images are seen by who can see', async (t) => {
      const { client } = await connect(t);
      const image = { type: 'input_image', detail: 'auto', image_url: `data:image/png;base64,${PIXEL}` };
      const content = [image, { type: 'input_text', text: 'Look' }];
      const answer = await ask(client, { input: [{ role: 'user', content }] });
      assert.ok(answer.output_text.includes(SEEN), answer.output_text);
    });

    test('thoughts are shown to who asks for them', async (t) => {
      const { client } = await connect(t, { faults: Faults.ofAll('thinking') });
      for (const [, model] of pins) {
        const shown = await ask(client, { model, reasoning: { effort: 'low', summary: 'auto' } });
        assert.deepEqual(
          shown.output.map(({ type }) => type),
          ['reasoning', 'message'],
        );
        assert.equal(shown.output[0].summary[0].text, 'Let me think.');
        const hidden = await ask(client, { model });
        assert.deepEqual(
          hidden.output.map(({ type }) => type),
          ['message'],
        );
      }
    });
  });
}

test('answers and calls are parsed', async (t) => {
  const { client } = await connect(t);
  const Forecast = z.object({ city: z.string(), days: z.number().int() });
  for (const [provider, model] of pins) {
    const format = { format: zodTextFormat(Forecast, 'forecast') };
    const answer = await client.responses.parse({ ...call({ model }), text: format });
    assert.equal(answer.output_parsed.city, 'text', provider);
    const tools = [zodResponsesFunction({ name: 'get_weather', parameters: Forecast })];
    const called = await client.responses.parse({ ...call({ model }), tools, tool_choice: 'required' });
    assert.equal(called.output.at(-1).parsed_arguments.city, 'text', provider);
  }
});

test('what is stored is shown and forgotten', async (t) => {
  const { client } = await connect(t);
  const answer = await client.responses.create(call());
  assert.equal((await client.responses.retrieve(answer.id)).output_text, answer.output_text);
  const items = await collect(client.responses.inputItems.list(answer.id));
  assert.deepEqual(items[0].content, [{ type: 'input_text', text: 'Hi' }]);
  await client.responses.delete(answer.id);
  const gone = await thrown(client.responses.create(call({ previous_response_id: answer.id })));
  assert.deepEqual([gone.status, gone.code], [400, 'previous_response_not_found']);
});

test('what comes late is told with what came before', async (t) => {
  const faults = Faults.ofAll('late_error_event', { stops: true });
  const { client, services } = await connect(t, { faults, maxRetries: 2 });
  for (const provider of PROVIDERS) {
    const stream = client.responses.stream(call());
    let said = '';
    stream.on('response.output_text.delta', ({ delta }) => {
      said += delta;
      if (delta === 'One, ') faults.goOn();
    });
    const answer = await stream.finalResponse();
    assert.equal(said, 'One, two, ');
    assert.equal(answer.status, 'failed');
    assert.match(answer.error.message, new RegExp(provider));
  }
  const counts = Object.values(await services()).map(({ count }) => count);
  assert.deepEqual(counts, [1, 1, 1], 'what has begun is not asked for again');
});

const ONE_MODEL = {
  GROQ_MODEL: 'openai/gpt-oss-20b',
  CEREBRAS_MODEL: 'gpt-oss-120b',
  GEMINI_MODEL: 'gemini-3.8-flash',
  MAX_WAIT_MS: '0',
};

for (const [fault, raised, status, code] of [
  ['rate_limited', OpenAI.RateLimitError, 429, 'rate_limit_exceeded'],
  ['server_error', OpenAI.InternalServerError, 502, null],
  ['bad_request', OpenAI.BadRequestError, 400, 'bad_request'],
  ['context_too_long', OpenAI.BadRequestError, 400, 'context_length_exceeded'],
]) {
  test(`errors have their exceptions and cost few calls: ${fault}`, async (t) => {
    const { client, heads, services } = await connect(t, {
      env: ONE_MODEL,
      faults: Faults.ofAll(fault),
      maxRetries: 2,
    });
    const error = await thrown(client.responses.create(call()));
    assert.ok(error instanceof raised, String(error));
    assert.deepEqual([error.status, error.code], [status, code]);
    // A limit that is over in two seconds is waited for and met again; the rest is final.
    const most = fault === 'rate_limited' ? 3 : 1;
    assert.equal(heads.length, most);
    for (const { count } of Object.values(await services())) assert.ok(count >= 1 && count <= most, String(count));
  });
}
