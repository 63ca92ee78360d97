// Ollama's library for Node finds in the proxy what it finds at Ollama, whoever answers.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Ollama } from 'ollama';
import { collect, echo, Faults, INSTANCE, PROVIDERS, startOverSimulator, TOOLS } from './support.js';

/** A client of a proxy. */
async function connect(test, proxy = {}) {
  const { origin } = await startOverSimulator(test, proxy);
  return new Ollama({ host: origin, headers: { Authorization: 'Bearer a-key' } });
}

const user = (content) => ({ role: 'user', content });
const chat = (fields) => ({ model: 'auto', messages: [user('Hi')], ...fields });

/** How a question is asked; the parts of the answer come out. */
const WAYS = {
  whole: async (client, fields) => [await client.chat(chat(fields))],
  streamed: async (client, fields) => collect(await client.chat(chat({ ...fields, stream: true }))),
};

const textOf = (parts) => parts.map(({ message }) => message.content).join('');

for (const [way, ask] of Object.entries(WAYS)) {
  describe(way, () => {
    test('everybody answers', async (t) => {
      const client = await connect(t);
      for (const provider of PROVIDERS) {
        const parts = await ask(client, {});
        assert.equal(textOf(parts), echo(provider, 'Hi'));
        const last = parts.at(-1);
        assert.deepEqual([last.done, last.done_reason], [true, 'stop']);
        assert(last.prompt_eval_count > 0 && last.eval_count > 0 && last.eval_duration > 0);
        assert(last.model.startsWith(`${provider.toLowerCase()}/`));
      }
    });

    test('tools are called and their results come back', async (t) => {
      const client = await connect(t);
      for (const provider of PROVIDERS) {
        const fields = { model: provider.toLowerCase(), tools: TOOLS };
        const asked = user('get_weather and get_time');
        const parts = await ask(client, { ...fields, messages: [asked] });
        const calls = parts.flatMap(({ message }) => message.tool_calls ?? []);
        assert.deepEqual(
          calls.map(({ function: called }) => [called.name, called.arguments]),
          [['get_weather', INSTANCE], ['get_time', INSTANCE]],
        );
        const turn = { role: 'assistant', content: textOf(parts), tool_calls: calls };
        const results = calls.toReversed().map(({ function: { name } }) => ({
          role: 'tool',
          tool_name: name,
          content: `said by ${name}`,
        }));
        const said = textOf(await ask(client, { ...fields, messages: [asked, turn, ...results] }));
        assert(said.includes('said by get_weather') && said.includes('said by get_time'), said);
      }
    });

    test('a wrong key is refused', async (t) => {
      const client = await connect(t, { env: { PROXY_API_KEY: 'another' } });
      await assert.rejects(ask(client, {}), { status_code: 401 });
    });
  });
}

test('a prompt is answered, and models are listed and shown', async (t) => {
  const client = await connect(t);
  const { models } = await client.list();
  assert(models.some(({ name }) => name === 'auto:latest'));
  for (const { model } of models) {
    assert((await client.show({ model })).capabilities.includes('completion'));
    const { response } = await client.generate({ model, prompt: 'Hi' });
    assert(response.includes('You said: Hi'), response);
  }
  assert.deepEqual((await client.ps()).models, []);
});

test('what comes late is raised behind what came before', async (t) => {
  const faults = Faults.ofAll('late_error_event', { stops: true });
  const client = await connect(t, { faults });
  for (const provider of PROVIDERS) {
    let came = '';
    const read = async () => {
      for await (const { message } of await client.chat(chat({ stream: true }))) {
        came += message.content;
        // The answer goes on when its beginning is here.
        faults.goOn();
      }
    };
    await assert.rejects(read(), undefined, provider);
    assert(came.startsWith('One, '), came);
  }
});

test('what there is not is told', async (t) => {
  const client = await connect(t);
  await assert.rejects(client.pull({ model: 'llama3.2' }), { status_code: 501 });
  await assert.rejects(client.embed({ model: 'auto', input: 'Hi' }), { status_code: 501 });
});
