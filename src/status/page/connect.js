// Lines to copy and settings of other programs, with the address by which this page was opened.

import { el, on, show } from './dom.js';
import { needsKey, onNews } from './proxy.js';
import { copyLine } from './providers.js';
import { inEachLanguage, t } from './texts.js';

const KEY = 'your-client-key';
const ANY_KEY = 'any-key';
const { origin } = location;
const base = `${origin}/v1`;
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
  const lines = linesToCopy();
  show(document.getElementById('connect'),
    el('div', { class: 'title' }, el('h2', null, t('connect_title')), el('p', null, t('connect_more'))),
    el('dl', { class: 'needs' },
      need(t('base_url'), copyLine(base, t('base_url'))),
      need(t('api_key'), el('p', null, needsKey() ? t('own_key') : t('any_key', { key: ANY_KEY }))),
      need(t('model'), copyLine('auto', t('model')))),
    el('p', { class: 'small' }, t(needsKey() ? 'key_note_locked' : 'key_note_open')),
    el('h3', null, t('lines_title')),
    el('div', { class: 'choices', role: 'group', 'aria-label': t('lines_title') }, lines.map(choice)),
    el('div', { 'data-key': `line-${chosen}` }, copyLine(lines[chosen].text, lines[chosen].name)),
    el('h3', null, t('apps_title')),
    el('p', { class: 'small' }, t('apps_more')),
    el('div', { class: 'cards' }, apps().map(app)),
    el('p', { class: 'small' }, el('span', { class: 'tried' }, t('tried')), ' ', t('tried_more')));
}

const need = (name, value) => el('div', null, el('dt', null, name), el('dd', null, value));

const choice = ({ name, isTried }, at) =>
  el('button', { type: 'button', 'data-do': 'line', 'data-value': at, 'aria-pressed': String(at === chosen) },
    name, isTried && el('span', { class: 'tried' }, t('tried')));

const app = ({ name, where, text }) =>
  el('article', { class: 'card', 'data-key': name },
    el('header', null, el('h4', null, name), el('span', { class: 'small' }, t('untried'))),
    el('p', { class: 'small' }, where),
    copyLine(text, name));

const key = () => (needsKey() ? KEY : ANY_KEY);
const question = () => '{"messages":[{"role":"user","content":"Hola"}]}';

/** Those that our tests run are marked as tried. */
function linesToCopy() {
  const locked = needsKey();
  return [
    { name: 'curl (bash)', isTried: true, text: curl(locked ? ` -H 'Authorization: Bearer ${KEY}'` : '') },
    { name: 'cmd.exe', text: cmd(locked ? ` -H "Authorization: Bearer ${KEY}"` : '') },
    { name: 'PowerShell', text: powerShell(locked ? ` -Headers @{Authorization='Bearer ${KEY}'}` : '') },
    { name: 'JavaScript (fetch)', isTried: true, text: javaScript(locked ? `, Authorization: 'Bearer ${KEY}'` : '') },
    { name: 'Python (openai)', isTried: true, text: python() },
    { name: 'Node (openai)', isTried: true, text: node() },
  ];
}

const curl = (header) => `curl -N ${origin}/chat${header} -H 'Content-Type: application/json' -d '${question()}'`;

const cmd = (header) =>
  `curl -N ${origin}/chat${header} -H "Content-Type: application/json" -d "${question().replaceAll('"', '\\"')}"`;

const powerShell = (header) =>
  `Invoke-RestMethod ${origin}/chat -Method Post${header} -ContentType 'application/json; charset=utf-8' -Body '${question().replace(/}$/, ',"stream":false}')}'`;

const javaScript = (header) => `const response = await fetch('${origin}/chat', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json'${header} },
  body: JSON.stringify({
    messages: [{ role: 'user', content: 'Hola' }],
    stream: false,
  }),
});
const { content, provider } = await response.json();
console.log(provider, content);`;

const python = () => `from openai import OpenAI

client = OpenAI(base_url="${base}", api_key="${key()}")
stream = client.chat.completions.create(
    model="auto",
    messages=[{"role": "user", "content": "Hola"}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`;

const node = () => `import OpenAI from 'openai';

const client = new OpenAI({ baseURL: '${base}', apiKey: '${key()}' });
const stream = await client.chat.completions.create({
  model: 'auto',
  messages: [{ role: 'user', content: 'Hola' }],
  stream: true,
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? '');
}`;

/** The places are named as the programs name them, in English. */
const apps = () => [
  {
    name: 'Open WebUI',
    where: 'Admin Panel → Settings → Connections → OpenAI API',
    text: `OPENAI_API_BASE_URL=${base}\nOPENAI_API_KEY=${key()}`,
  },
  {
    name: 'LibreChat',
    where: 'librechat.yaml',
    text: `endpoints:
  custom:
    - name: "AI Proxy Free"
      apiKey: "${key()}"
      baseURL: "${base}"
      models:
        default: ["auto"]
        fetch: true`,
  },
  {
    name: 'Continue',
    where: 'config.yaml',
    text: `models:
  - name: AI Proxy Free
    provider: openai
    model: auto
    apiBase: ${base}
    apiKey: ${key()}`,
  },
  {
    name: 'Cline',
    where: 'Settings → API Provider → OpenAI Compatible',
    text: `Base URL: ${base}\nAPI Key: ${key()}\nModel ID: auto`,
  },
  {
    name: 'aider',
    where: 'bash',
    text: `export OPENAI_API_BASE=${base}\nexport OPENAI_API_KEY=${key()}\naider --model openai/auto`,
  },
  {
    name: 'opencode',
    where: 'opencode.json',
    text: `{
  "provider": {
    "ai-proxy-free": {
      "npm": "@ai-sdk/openai-compatible",
      "name": "AI Proxy Free",
      "options": { "baseURL": "${base}", "apiKey": "${key()}" },
      "models": { "auto": { "name": "auto" } }
    }
  }
}`,
  },
  {
    name: 'n8n',
    where: 'Credentials → OpenAI; OpenAI Chat Model → Use Responses API: off',
    text: `Base URL: ${base}\nAPI Key: ${key()}\nModel (By ID): auto`,
  },
  {
    name: 'Home Assistant',
    where: 'HACS → Extended OpenAI Conversation',
    text: `Base Url: ${base}\nAPI Key: ${key()}\nModel: auto`,
  },
];
