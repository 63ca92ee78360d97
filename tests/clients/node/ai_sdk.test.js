// Vercel's AI SDK, whose parsers are the strictest there are, gets what it wants from the proxy, whoever answers.

import { createGroq } from '@ai-sdk/groq';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateObject, generateText, isStepCount, Output, streamText, tool } from 'ai';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import {
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
  watch,
  whoIn,
} from './support.js';

const CONNECTORS = {
  'openai-compatible': (origin, fetch) =>
    createOpenAICompatible({
      name: 'proxy',
      baseURL: `${origin}/v1`,
      apiKey: 'a-key',
      includeUsage: true,
      supportsStructuredOutputs: true,
      fetch,
    })('auto'),
  groq: (origin, fetch) => createGroq({ baseURL: `${origin}/openai/v1`, apiKey: 'a-key', fetch })('auto'),
};

const Forecast = z.object({ city: z.string(), days: z.number().int().min(3) });

/** A tool that says the same for everybody, and where it was asked about. */
function weather() {
  const asked = [];
  const execute = async (place) => {
    asked.push(place);
    return 'sunny';
  };
  return { asked, tools: { get_weather: tool({ description: 'Weather', inputSchema: Forecast, execute }) } };
}

for (const [connector, connectTo] of Object.entries(CONNECTORS)) {
  describe(connector, () => {
    /** A model over the proxy, and what was seen of its answers. */
    const connect = async (t, proxy) => {
      const { origin } = await startOverSimulator(t, proxy);
      const seen = watch();
      return { ask: { model: connectTo(origin, seen.fetch), maxRetries: 0 }, ...seen };
    };
    const eachRotation = (name, body) => {
      for (const [rotation, { env, trails }] of Object.entries(ROTATIONS)) {
        test(`${name}: ${rotation}`, async (t) => body(await connect(t, { env }), trails));
      }
    };

    eachRotation('text is generated and streamed', async ({ ask, trail, trails: seen, provider }, trails) => {
      for (const expected of trails) {
        const { text, finishReason, usage, warnings } = await generateText({ ...ask, prompt: 'Hi' });
        assert.equal(trail(), expected);
        assert.equal(text, echo(provider(), 'Hi'));
        assert.equal(finishReason, 'stop');
        assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
        assert.deepEqual(warnings, []);
      }
      for (const _ of trails) {
        const answer = streamText({ ...ask, prompt: 'Hi' });
        const pieces = await collect(answer.textStream);
        assert.equal(pieces.join(''), echo(provider(), 'Hi'));
        assert.ok(pieces.length > 5);
        assert.equal(await answer.finishReason, 'stop');
        // Groq's connector does not ask for it.
        if (connector !== 'groq') assert.ok((await answer.usage).outputTokens > 0);
      }
      assert.deepEqual(whoIn(seen()), whoIn(trails));
    });

    eachRotation('a tool is run and its result given to the next', async ({ ask, provider, trails: seen }, trails) => {
      const { asked, tools } = weather();
      const call = { ...ask, tools, stopWhen: isStepCount(3), prompt: 'get_weather' };
      for (const _ of trails) {
        const { text, steps } = await generateText(call);
        assert.deepEqual(
          steps.map(({ finishReason }) => finishReason),
          ['tool-calls', 'stop'],
        );
        assert.equal(text, told(provider(), ['sunny']));
      }
      assert.deepEqual(seen().slice(0, 3), trails);
      for (const _ of trails) {
        const answer = streamText(call);
        const parts = await collect(answer.fullStream);
        assert.deepEqual(
          parts.filter(({ type }) => type === 'error'),
          [],
        );
        assert.equal(await answer.text, told(provider(), ['sunny']));
        assert.equal((await answer.steps).length, 2);
      }
      assert.deepEqual(asked, Array(6).fill(INSTANCE));
      assert.equal(seen().length, 12);
    });

    eachRotation('two tools are run beside each other', async ({ ask, provider }, trails) => {
      const { tools } = weather();
      const get_time = tool({ inputSchema: Forecast, execute: async () => 'noon' });
      const call = { ...ask, tools: { ...tools, get_time }, stopWhen: isStepCount(3), prompt: 'get_weather get_time' };
      for (const _ of trails) {
        const { text, steps } = await generateText(call);
        assert.deepEqual(
          steps[0].toolCalls.map(({ toolName }) => toolName),
          ['get_weather', 'get_time'],
        );
        assert.equal(text, told(provider(), ['sunny', 'noon']));
      }
    });

    eachRotation('a tool is called because it must be', async ({ ask, trails: seen }, trails) => {
      const { asked, tools } = weather();
      for (const toolChoice of ['required', { type: 'tool', toolName: 'get_weather' }]) {
        for (const _ of trails) {
          const { finishReason } = await generateText({ ...ask, tools, toolChoice, prompt: 'Hi' });
          assert.equal(finishReason, 'tool-calls');
        }
      }
      assert.equal(asked.length, 6);
      assert.deepEqual(whoIn(seen()), whoIn(trails));
      const { text } = await generateText({ ...ask, tools, toolChoice: 'none', prompt: 'get_weather' });
      assert.match(text, /You said: get_weather/);
    });

    eachRotation('an object is generated', async ({ ask, trails: seen }, trails) => {
      for (const _ of trails) {
        const { object } = await generateObject({ ...ask, schema: Forecast, prompt: 'Hi' });
        assert.deepEqual(object, INSTANCE);
      }
      assert.deepEqual(seen(), trails);
      for (const _ of trails) {
        const answer = streamText({ ...ask, output: Output.object({ schema: Forecast }), prompt: 'Hi' });
        assert.deepEqual((await collect(answer.partialOutputStream)).at(-1), INSTANCE);
      }
      assert.equal(seen().length, 6);
    });

    eachRotation('an image is seen', async ({ ask, trails: seen }, trails) => {
      const content = [
        { type: 'text', text: 'What is it?' },
        { type: 'file', data: PIXEL, mediaType: 'image/png' },
      ];
      for (const _ of trails) {
        const { text } = await generateText({ ...ask, messages: [{ role: 'user', content }] });
        assert.ok(text.includes(`You said: What is it?\n${SEEN}\n`), text);
      }
      assert.deepEqual(seen(), trails);
    });

    test('thoughts come apart from the text', async (t) => {
      const { ask, provider } = await connect(t, { faults: Faults.ofAll('thinking') });
      for (const expected of PROVIDERS) {
        const { text, reasoningText } = await generateText({ ...ask, prompt: 'Hi' });
        assert.equal(provider(), expected);
        assert.equal(text, 'One, two, three.');
        // Groq's connector looks for them under Groq's own name.
        if (connector !== 'groq') assert.equal(reasoningText, 'Let me think.');
      }
    });

    for (const [fault, expected] of [
      ['length', 'length'],
      ['blocked', 'content-filter'],
    ]) {
      test(`an answer says why it ended: ${fault}`, async (t) => {
        const { ask } = await connect(t, { faults: Faults.ofAll(fault) });
        for (const _ of PROVIDERS) {
          assert.equal((await generateText({ ...ask, prompt: 'Hi' })).finishReason, expected);
          assert.equal(await streamText({ ...ask, prompt: 'Hi' }).finishReason, expected);
        }
      });
    }

    // This SDK's own repetitions go by the status alone; nobody is asked twice here.
    for (const [name, status, proxy, message, isRetryable] of [
      ['a wrong client key', 401, { env: { PROXY_API_KEY: 'right' } }, /Missing or wrong API key/, false],
      ['everybody is at the limit', 429, { faults: Faults.ofAll('rate_limited') }, /at its limit/, true],
      ['everybody fails', 502, { faults: Faults.ofAll('server_error') }, /^All services failed/, true],
    ]) {
      test(`the reason is told when ${name}`, async (t) => {
        const { ask, heads } = await connect(t, proxy);
        const error = await thrown(generateText({ ...ask, prompt: 'Hi' }));
        assert.ok(APICallError.isInstance(error), `${error}`);
        assert.equal(error.statusCode, status);
        assert.match(error.message, message);
        assert.equal(error.isRetryable, isRetryable);
        assert.equal(heads.length, 1);
      });
    }

    for (const fault of ['late_error_event', 'truncated']) {
      test(`an answer that breaks off is an error after what was said: ${fault}`, async (t) => {
        const faults = Faults.ofAll(fault, { stops: true });
        const { ask, provider } = await connect(t, { faults });
        const errors = [];
        const answer = streamText({ ...ask, prompt: 'Hi', onError: ({ error }) => errors.push(error) });
        let text = '';
        for await (const part of answer.fullStream) {
          if (part.type !== 'text-delta') continue;
          if (text === '') faults.goOn();
          text += part.text;
        }
        assert.equal(text, 'One, two, ');
        assert.equal(errors.length, 1);
        assert.match(JSON.stringify(errors[0].message ?? errors[0]), new RegExp(provider()));
        assert.notEqual(await answer.finishReason, 'stop');
      });
    }
  });
}
