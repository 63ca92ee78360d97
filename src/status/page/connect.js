// Lines to copy and settings of other programs, with the address by which this page was opened.

import { el, on, show } from './dom.js';
import { copyLine } from './providers.js';
import { needsKey, onNews } from './proxy.js';
import { inEachLanguage, t } from './texts.js';

const { origin } = location;
const base = `${origin}/v1`;
const OWN_KEY = 'your-client-key';
const QUESTION = '{"messages":[{"role":"user","content":"Hola"}]}';
let chosen = 0;

/** Puts the tab to work. */
export function startConnect() {
  on('line', (target) => {
    chosen = Number(target.dataset.value);
    draw();
  });
  inEachLanguage(draw);
  onNews(draw);
}

function draw() {
  const key = needsKey() ? OWN_KEY : 'any-key';
  const lines = [...chatLines(needsKey()), ...openAiLines(key)];
  const need = (name, value) => el('div', null, el('dt', null, t(name)), el('dd', null, copyLine(value)));
  show(document.getElementById('connect'),
    el('h2', null, t('connect_title')),
    el('p', null, t('connect_more')),
    el('dl', { class: 'needs' }, need('base_url', base), need('api_key', key), need('model', 'auto')),
    el('p', { class: 'small' }, t(needsKey() ? 'key_note_locked' : 'key_note_open')),
    el('h3', null, t('lines_title')),
    el('div', { class: 'choices', role: 'group', 'aria-label': t('lines_title') }, lines.map(choice)),
    el('div', { 'data-key': chosen }, copyLine(lines[chosen].text)),
    lines[chosen].isTried && el('p', { class: 'small' }, t('tried_more')),
    el('h3', null, t('apps_title')),
    el('p', { class: 'small' }, t('apps_more')),
    el('div', { class: 'cards' }, apps(key).map(app)));
}

const choice = ({ name, isTried }, at) =>
  el('button', { type: 'button', 'data-do': 'line', 'data-value': at, 'aria-pressed': String(at === chosen) },
    name, isTried && el('span', { class: 'tried' }, t('tried')));

const app = ([name, where, text]) =>
  el('article', { class: 'card', 'data-key': name }, el('h4', null, name), el('p', { class: 'small' }, where), copyLine(text));

/** Lines for `/chat`. What our tests run is marked as tried. */
function chatLines(isLocked) {
  const header = (text) => (isLocked ? text : '');
  return [
    {
      name: 'curl (bash)',
      isTried: true,
      text: `curl -N ${origin}/chat${header(` -H 'Authorization: Bearer ${OWN_KEY}'`)} -H 'Content-Type: application/json' -d '${QUESTION}'`,
    },
    {
      name: 'cmd.exe',
      text: `curl -N ${origin}/chat${header(` -H "Authorization: Bearer ${OWN_KEY}"`)} -H "Content-Type: application/json" -d "${QUESTION.replaceAll('"', '\\"')}"`,
    },
    {
      name: 'PowerShell',
      text: `Invoke-RestMethod ${origin}/chat -Method Post${header(` -Headers @{Authorization='Bearer ${OWN_KEY}'}`)} -ContentType 'application/json; charset=utf-8' -Body '${QUESTION.slice(0, -1)},"stream":false}'`,
    },
    {
      name: 'fetch',
      isTried: true,
      text: `const response = await fetch('${origin}/chat', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json'${header(`, Authorization: 'Bearer ${OWN_KEY}'`)} },
  body: JSON.stringify({ messages: [{ role: 'user', content: 'Hola' }], stream: false }),
});
const { content, provider } = await response.json();
console.log(provider, content);`,
    },
  ];
}

const openAiLines = (key) => [
  {
    name: 'Python (openai)',
    isTried: true,
    text: `from openai import OpenAI

client = OpenAI(base_url="${base}", api_key="${key}")
stream = client.chat.completions.create(
    model="auto",
    messages=[{"role": "user", "content": "Hola"}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`,
  },
  {
    name: 'Node (openai)',
    isTried: true,
    text: `import OpenAI from 'openai';

const client = new OpenAI({ baseURL: '${base}', apiKey: '${key}' });
const stream = await client.chat.completions.create({
  model: 'auto',
  messages: [{ role: 'user', content: 'Hola' }],
  stream: true,
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? '');
}`,
  },
];

/** Name, place and settings; the places are named as the programs name them. */
const apps = (key) => [
  ['Open WebUI', 'Admin Panel → Settings → Connections → OpenAI API', `URL: ${base}\nKey: ${key}\nModel: auto`],
  [
    'LibreChat',
    'librechat.yaml',
    `endpoints:
  custom:
    - name: AI Proxy Free
      apiKey: ${key}
      baseURL: ${base}
      models:
        default: [auto]
        fetch: true`,
  ],
  [
    'Continue',
    'config.yaml',
    `models:
  - name: AI Proxy Free
    provider: openai
    model: auto
    apiBase: ${base}
    apiKey: ${key}`,
  ],
  ['Cline', 'Settings → API Provider → OpenAI Compatible', `Base URL: ${base}\nAPI Key: ${key}\nModel ID: auto`],
  ['aider', 'bash', `export OPENAI_API_BASE=${base}\nexport OPENAI_API_KEY=${key}\naider --model openai/auto`],
  [
    'opencode',
    'opencode.json',
    `{
  "provider": {
    "ai-proxy-free": {
      "npm": "@ai-sdk/openai-compatible",
      "options": { "baseURL": "${base}", "apiKey": "${key}" },
      "models": { "auto": {} }
    }
  }
}`,
  ],
  ['n8n', 'OpenAI Chat Model → Use Responses API: off', `Base URL: ${base}\nAPI Key: ${key}\nModel (By ID): auto`],
  ['Home Assistant', 'HACS → Extended OpenAI Conversation', `Base Url: ${base}\nAPI Key: ${key}\nModel: auto`],
];
