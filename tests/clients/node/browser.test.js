// A page in a real browser talks to a proxy of another origin.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { launch } from './page_support.js';
import { GREETING, startProxy } from './support.js';

const QUESTION = '¿Qué tal? 🎈';

let server;
let origin;
let browser;

before(async () => {
  const page = await readFile(new URL('page.html', import.meta.url));
  server = createServer((_, response) => response.setHeader('content-type', 'text/html').end(page));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${server.address().port}`;
  browser = await launch();
});

after(async () => {
  await browser?.close();
  server.closeAllConnections();
  server.close();
});

/** What the page says about its conversation with the proxy, and which preflights the browser sent. */
async function ask(proxy, leaveAfter) {
  const page = await browser.newPage();
  try {
    await page.goto(origin);
    const preflights = [];
    const network = await page.context().newCDPSession(page);
    await network.send('Network.enable');
    network.on('Network.requestWillBeSent', ({ request }) => {
      if (request.method === 'OPTIONS') preflights.push(request.url);
    });
    const call = ([proxy, question, leaveAfter]) => ask(proxy, question, leaveAfter);
    return { ...(await page.evaluate(call, [proxy.origin, QUESTION, leaveAfter])), preflights };
  } finally {
    await page.close();
  }
}

for (const [name, corsOrigins] of [
  ['any page', () => '*'],
  ['a page of an allowed origin', () => `https://allowed.example, ${origin}`],
]) {
  test(`${name} shows an answer as it grows and reads who gave it`, async (t) => {
    const proxy = await startProxy(t, { CORS_ORIGINS: corsOrigins() });
    const { headers, shown, error, preflights } = await ask(proxy);
    assert.equal(error, undefined);
    assert.deepEqual(preflights, [`${proxy.origin}/chat`]);
    assert.equal(headers['x-provider'], 'Groq');
    assert.equal(headers['x-model'], 'openai/gpt-oss-20b');
    assert.equal(headers['x-attempts'], 'Groq:ok');
    assert.match(headers['x-request-id'], /^\S+$/);
    const answer = GREETING;
    assert.equal(shown.at(-1).text, answer);
    assert.ok(shown.every(({ text }) => answer.startsWith(text)));
    const times = new Set(shown.filter(({ text }) => text && text !== answer).map(({ at }) => at));
    assert.ok(times.size > 1, `the answer was not seen growing: ${JSON.stringify(shown)}`);
  });
}

test('a page that leaves in the middle is no failure of the provider', async (t) => {
  const proxy = await startProxy(t);
  const { headers, shown, error } = await ask(proxy, 2);
  assert.equal(error, 'AbortError');
  assert.equal(shown.length, 2);
  assert.ok(shown[1].text && shown[1].text !== GREETING);
  assert.match(headers['x-request-id'], /^\S+$/);
  // The line with the time is the last of a request.
  const end = await proxy.logged(new RegExp(`${headers['x-request-id']}.* elapsed_ms=`));
  assert.match(end, /Client left/);
  const { Groq, ...others } = await proxy.services();
  assert.deepEqual(Groq, { count: 1, failures: 0 });
  assert.deepEqual(Object.values(others), [{ count: 0, failures: 0 }, { count: 0, failures: 0 }]);
  const next = await ask(proxy);
  assert.equal(next.shown.at(-1).text, GREETING);
});

test('a page of an origin that is not allowed gets nothing', async (t) => {
  const proxy = await startProxy(t, { CORS_ORIGINS: 'https://allowed.example' });
  const { headers, shown, error, preflights } = await ask(proxy);
  assert.equal(error, 'TypeError');
  assert.deepEqual([headers, shown], [{}, []]);
  assert.deepEqual(preflights, [`${proxy.origin}/chat`]);
  for (const counts of Object.values(await proxy.services())) assert.equal(counts.count, 0);
});
