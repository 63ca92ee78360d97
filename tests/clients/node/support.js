// What the tests share.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { createInterface } from 'node:readline';

export const ERRORS = JSON.parse(await readFile(new URL('../errors.json', import.meta.url)));

/** The base URL of a simulated provider. */
export const url = (provider) => JSON.parse(process.env.SIMULATOR_URLS)[provider];

/** What a simulated model says to a question. */
export const echo = (provider, question) =>
  `[simulated ${provider}] You said: ${question}\nThis answer comes word by word, as a real one would.`;

/** What every simulated model of the demo says to a greeting in Spanish. */
export const GREETING =
  '¡Hola! Soy un modelo simulado: para esta respuesta no hizo falta ninguna clave ni conexión a internet. Pídeme un ' +
  'chiste, algo de código o que te explique cómo funciona esto.';

/** A picture of one pixel, and what the little model says of it. */
export const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
export const SEEN = 'I see 1 image(s): image/png';

/** The schema of a tool's parameters or of an answer, and the smallest thing that fits. */
export const SCHEMA = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 3 } },
  required: ['city', 'days'],
  additionalProperties: false,
};
export const INSTANCE = { city: 'text', days: 3 };

/** What a call that fails has thrown. */
export const thrown = (call) =>
  call.then(
    () => assert.fail('it did not fail'),
    (error) => error,
  );

/** Asserts that `whole` has everything that `part` has. */
export function assertIncludes(whole, part) {
  const cut = (whole, part) => {
    if (Array.isArray(part)) return whole?.map?.((item, index) => cut(item, part[index])) ?? whole;
    if (part === null || typeof part !== 'object') return whole;
    return Object.fromEntries(Object.keys(part).map((key) => [key, cut(whole?.[key], part[key])]));
  };
  assert.deepEqual(cut(whole, part), part);
}

/** Starts a proxy on a free port, a demo if nothing else is said; it ends with the test. */
export async function startProxy(test, env = {}, command = ['demo']) {
  const proxy = spawn(process.env.PROXY_BIN, command, {
    env: { PORT: '0', STATE_FILE: '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  test.after(async () => {
    proxy.kill();
    if (proxy.exitCode === null && proxy.signalCode === null) await once(proxy, 'exit');
  });
  const lines = [];
  const waiting = new Set();
  createInterface({ input: proxy.stdout }).on('line', (line) => {
    lines.push(line);
    for (const look of waiting) look(line);
  });
  /** The first line of the log that matches, when it has come. */
  const logged = (pattern) =>
    new Promise((resolve) => {
      const look = (line) => {
        if (!pattern.test(line)) return;
        waiting.delete(look);
        resolve(line);
      };
      waiting.add(look);
      lines.forEach(look);
    });
  const origin = (await logged(/ listening on http:/)).match(/http:\S+/)[0];
  const services = async () => (await (await fetch(`${origin}/health`)).json()).stats.services;
  const kill = (signal) => proxy.kill(signal);
  return { origin, logged, services, kill };
}

export const PROVIDERS = ['Groq', 'Cerebras', 'Gemini'];
const BASE_URLS = { Groq: 'GROQ_BASE_URL', Cerebras: 'CEREBRAS_BASE_URL', Gemini: 'GOOGLE_GEMINI_BASE_URL' };

/** Starts a proxy over the simulated providers; `env` has settings that differ, and `faults` what goes wrong. */
export async function startOverSimulator(test, { env, faults } = {}) {
  const keys = { GROQ_API_KEY: 'a-key', CEREBRAS_API_KEY: 'a-key', GOOGLE_API_KEY: 'a-key' };
  const urls = Object.fromEntries(PROVIDERS.map((name) => [BASE_URLS[name], url(name)]));
  return startProxy(test, { ...keys, ...urls, ...(await faults?.start(test)), ...env }, []);
}

/** Servers before the simulated providers that ask for a misbehaviour in every request they pass on. */
export class Faults {
  #names;
  #stops;
  #paused = new EventEmitter();

  /** What each provider does, or what it does with a request of these headers; with `stops` an answer stops after its first word until `goOn` is called. */
  constructor(names, { stops = false } = {}) {
    this.#names = names;
    this.#stops = stops;
  }

  /** Every provider does the same. */
  static ofAll(name, options) {
    return new Faults(Object.fromEntries(PROVIDERS.map((provider) => [provider, name])), options);
  }

  goOn() {
    this.#paused.emit('go on');
  }

  /** The settings of a proxy that asks here. */
  async start(test) {
    const settings = {};
    for (const [provider, name] of Object.entries(this.#names)) {
      const server = createServer((asked, answer) => this.#passOn(provider, name, asked, answer));
      test.after(() => server.closeAllConnections() ?? server.close());
      await once(server.listen(0, '127.0.0.1'), 'listening');
      settings[BASE_URLS[provider]] = `http://127.0.0.1:${server.address().port}`;
    }
    return settings;
  }

  async #passOn(provider, name, asked, answer) {
    const { method, headers } = asked;
    const simulate = typeof name === 'function' ? name(headers) : name;
    const passed = request(url(provider) + asked.url, { method, headers: { ...headers, 'x-simulate': simulate } });
    asked.pipe(passed);
    const [said] = await once(passed, 'response');
    const { connection, 'content-length': _, 'transfer-encoding': __, ...head } = said.headers;
    answer.writeHead(said.statusCode, head);
    let hasBegun = false;
    for await (const line of createInterface({ input: said })) {
      answer.write(`${line}\n`);
      hasBegun ||= this.#stops && line.includes('One, ');
      // An event ends with an empty line.
      if (hasBegun && line === '') {
        hasBegun = false;
        await once(this.#paused, 'go on');
      }
    }
    answer.end();
  }
}

/** Settings of a proxy, and how each of three requests in turn gets its answer. */
export const ROTATIONS = {
  'all are well': { env: {}, trails: ['Groq:ok', 'Cerebras:ok', 'Gemini:ok'] },
  'Cerebras refuses its key': {
    env: { CEREBRAS_API_KEY: 'an-invalid-key' },
    trails: ['Groq:ok', 'Cerebras:bad_key, Gemini:ok', 'Groq:ok'],
  },
};

/** Everything that an asynchronous iterable yields. */
export async function collect(iterable) {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
}

/** Keeps the heads of all answers. */
export function watch() {
  const heads = [];
  const watchedFetch = async (...call) => {
    const response = await fetch(...call);
    heads.push(response);
    return response;
  };
  const last = (name) => heads.at(-1).headers.get(name);
  return {
    heads,
    fetch: watchedFetch,
    trails: () => heads.map(({ headers }) => headers.get('x-attempts')),
    trail: () => last('x-attempts'),
    provider: () => last('x-provider'),
  };
}

/** Who gave the answers, each once. */
export const whoIn = (trails) => new Set(trails.map((trail) => trail.match(/(\w+):ok$/)[1]));

/** What a simulated model says to the answers of its tools, in the order of `calls`; Google has them as objects. */
export const told = (provider, results) =>
  `Tool said: ${results.map((result) => (provider === 'Gemini' ? JSON.stringify({ result }) : result)).join(' | ')}`;

export const tool = (name) => ({ type: 'function', function: { name, description: 'Weather', parameters: SCHEMA } });
export const TOOLS = [tool('get_weather'), tool('get_time')];
const named = (name) => ({ type: 'function', function: { name } });

/** What a client asks with these tools on offer, and which of them are called. */
export const CALLS = [
  [{ content: 'Hi' }, []],
  [{ content: 'get_time' }, ['get_time']],
  [{ content: 'get_time', tool_choice: 'auto' }, ['get_time']],
  [{ content: 'get_time', tool_choice: 'none' }, []],
  [{ content: 'Hi', tool_choice: 'required' }, ['get_weather']],
  [{ content: 'Hi', tool_choice: named('get_time') }, ['get_time']],
  [
    {
      content: 'Hi',
      tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [named('get_time')] } },
    },
    ['get_time'],
  ],
  [{ content: 'get_time and get_weather', parallel_tool_calls: true }, ['get_weather', 'get_time']],
];
