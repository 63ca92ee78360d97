// Google's Node SDK finds in the proxy what it finds at Google, whoever answers.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GoogleGenAI } from '@google/genai';
import { echo, Faults, INSTANCE, PROVIDERS, SCHEMA, startOverSimulator } from './support.js';

/** A client of a proxy. */
async function connect(test, { apiKey = 'a-key', ...proxy } = {}) {
  const { origin } = await startOverSimulator(test, proxy);
  return new GoogleGenAI({ apiKey, httpOptions: { baseUrl: origin, timeout: 10_000 } });
}

const call = ({ contents = 'Hi', model = 'auto', ...config } = {}) => ({ model, contents, config });

/** How a question is asked; the chunks of the answer come out. */
const WAYS = {
  whole: async (client, fields) => [await client.models.generateContent(call(fields))],
  streamed: async (client, fields) => collect(await client.models.generateContentStream(call(fields))),
};

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const partsOf = (chunks) => chunks.flatMap((chunk) => chunk.candidates[0].content.parts);
const textOf = (chunks) => partsOf(chunks).map(({ text = '' }) => text).join('');
const TOOLS = [{
  functionDeclarations: ['get_weather', 'get_time'].map((name) => ({
    name,
    description: 'Weather',
    parametersJsonSchema: SCHEMA,
  })),
}];

for (const [way, ask] of Object.entries(WAYS)) {
  describe(way, () => {
    test('everybody answers', async (t) => {
      const client = await connect(t);
      for (const provider of PROVIDERS) {
        const chunks = await ask(client, {});
        assert.equal(textOf(chunks), echo(provider, 'Hi'));
        const last = chunks.at(-1);
        assert.equal(last.candidates[0].finishReason, 'STOP');
        assert(last.usageMetadata.promptTokenCount > 0 && last.usageMetadata.candidatesTokenCount > 0);
        assert(last.modelVersion.startsWith(`${provider.toLowerCase()}/`));
      }
    });

    test('tools are called and their results come back', async (t) => {
      const client = await connect(t);
      for (const provider of PROVIDERS) {
        const fields = { model: provider.toLowerCase(), tools: TOOLS };
        const asked = { role: 'user', parts: [{ text: 'get_weather and get_time' }] };
        const turn = partsOf(await ask(client, { ...fields, contents: [asked] }));
        const calls = turn.filter((part) => part.functionCall).map((part) => part.functionCall);
        assert.deepEqual(calls.map(({ name, args }) => [name, args]), [['get_weather', INSTANCE], ['get_time', INSTANCE]]);
        const results = calls.toReversed().map(({ id, name }) => ({
          functionResponse: { id, name, response: { output: `said by ${name}` } },
        }));
        const history = [asked, { role: 'model', parts: turn }, { role: 'user', parts: results }];
        const said = textOf(await ask(client, { ...fields, contents: history }));
        assert(said.includes('said by get_weather') && said.includes('said by get_time'), said);
      }
    });

    test('a wrong key is refused', async (t) => {
      const client = await connect(t, { env: { PROXY_API_KEY: 'another' } });
      await assert.rejects(ask(client, {}), { status: 401 });
    });
  });
}

test('a chat remembers its first turn, whole and streamed', async (t) => {
  const client = await connect(t);
  for (const provider of PROVIDERS) {
    for (const isStreamed of [false, true]) {
      const chat = client.chats.create({ model: provider.toLowerCase() });
      for (const [number, message] of ['First', 'Second'].entries()) {
        if (isStreamed) await collect(await chat.sendMessageStream({ message }));
        else await chat.sendMessage({ message });
        // Each chunk of a stream is a turn of its own there.
        const history = chat.getHistory(true);
        assert.equal(history.filter(({ role }) => role === 'user').length, number + 1, provider);
        const model = history.filter(({ role }) => role === 'model').flatMap(({ parts }) => parts);
        const said = model.map(({ text = '' }) => text).join('');
        assert.equal(said.split('This answer comes word by word').length - 1, number + 1, said);
      }
    }
  }
});

test('what comes late is raised behind what came before', async (t) => {
  const faults = Faults.ofAll('late_error_event', { stops: true });
  const client = await connect(t, { faults });
  for (const provider of PROVIDERS) {
    let came = '';
    const read = async () => {
      for await (const { text } of await client.models.generateContentStream(call())) {
        came += text;
        // The answer goes on when its beginning is here.
        faults.goOn();
      }
    };
    await assert.rejects(read(), undefined, provider);
    assert(came.startsWith('One, '), came);
  }
});

test('tokens are counted', async (t) => {
  const client = await connect(t);
  const { totalTokens } = await client.models.countTokens({ model: 'gemini-3.8-flash', contents: 'Hi' });
  assert(totalTokens > 0 && totalTokens < 20);
});
