// The page in a real browser, state by state. Each picture is in target/page/.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { after, before } from 'node:test';
import { promisify } from 'node:util';
import {
  PHONE, answerOf, event, eventually, inspect, lastTurn, launch, pageTest, say, startOver, stream, upstream, visit,
} from './page_support.js';
import { Faults, startOverSimulator, startProxy } from './support.js';

const run = promisify(execFile);
let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

/** A server that limits, as Groq says it. */
const limited = (response, seconds) =>
  response
    .writeHead(429, { 'content-type': 'application/json', 'retry-after': seconds })
    .end('{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}');

pageTest('a first visit shows who is ready, and an example is answered', async (t) => {
  const proxy = await startProxy(t, { CORS_ORIGINS: 'https://elsewhere.example' });
  const page = await visit(t, browser, proxy);
  await page.getByText('3 of 3 ready').waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'en');
  await inspect(page, 'first-visit');
  await page.getByRole('button', { name: 'Three ideas' }).click();
  await page.getByRole('button', { name: 'Retry' }).waitFor();
  await inspect(page, 'answered');
  const turn = await lastTurn(page).innerText();
  assert.match(turn, /^Three ideas for a weekend project\n+Groq\s+openai\/gpt-oss-20b\n/);
  assert.match(turn, /first word after \d.*\d tokens\/s.*\d+ tokens\s*Copy\s*Retry$/s);
  assert.ok(await page.getByText('Ask something.').isHidden(), 'the welcome makes room');
});

pageTest('an answer is seen growing, with what is known of it', async (t) => {
  let goOn;
  const groq = await upstream(t, (_, response) => {
    const [head, one, two, ...rest] = answerOf(['One **t', 'wo** ', 'three.']);
    stream(response, [head, one, two]);
    goOn = () => {
      stream(response, rest.slice(0, -1));
      response.end(`data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1234,"total_tokens":1243}}\n\n${rest.at(-1)}`);
    };
  });
  const page = await visit(t, browser, await startOver(t, groq));
  await say(page, 'Hello');
  await lastTurn(page).getByText('two').waitFor();
  assert.equal(await lastTurn(page).locator('.answer').innerHTML(), '<p dir="auto">One <strong>two</strong></p>');
  assert.ok(await page.getByRole('button', { name: 'Stop' }).isVisible());
  assert.ok(await page.getByRole('button', { name: 'Send' }).isHidden());
  await inspect(page, 'streaming');
  goOn();
  await lastTurn(page).getByText('1,234 tokens').waitFor();
  assert.equal(await lastTurn(page).locator('.answer').innerText(), 'One two three.');
  assert.match(await lastTurn(page).innerText(), /Groq\s+openai\/gpt-oss-20b/);
  assert.ok(await page.getByRole('button', { name: 'Send' }).isVisible());
  assert.equal(await page.locator('#said').textContent(), 'Groq answered: One **two** three.');
});

pageTest('speed is called an estimate when nobody has counted', async (t) => {
  const groq = await upstream(t, async (_, response) => {
    const pieces = answerOf(Array(8).fill('some words '));
    for (const piece of pieces) {
      stream(response, [piece]);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    response.end();
  });
  const page = await visit(t, browser, await startOver(t, groq));
  await say(page, 'Hello');
  await lastTurn(page).getByText(/about \d+ tokens\/s \(estimated\)/).waitFor();
});

pageTest('a conversation is sent as a whole, and retry asks the same again', async (t) => {
  const bodies = [];
  const groq = await upstream(t, (body, response) => {
    bodies.push(body.messages.map(({ role, content }) => `${role}: ${content}`));
    stream(response, answerOf([`Answer ${bodies.length}`]));
    response.end();
  });
  const page = await visit(t, browser, await startOver(t, groq));
  await say(page, 'One');
  await lastTurn(page).getByText('Answer 1').waitFor();
  await page.getByRole('button', { name: 'Retry' }).click();
  await lastTurn(page).getByText('Answer 2').waitFor();
  await page.getByRole('button', { name: 'Retry' }).waitFor();
  await say(page, 'Two');
  await lastTurn(page).getByText('Answer 3').waitFor();
  assert.deepEqual(bodies, [['user: One'], ['user: One'], ['user: One', 'assistant: Answer 2', 'user: Two']]);
  await page.getByRole('button', { name: 'Clear' }).click();
  assert.equal(await page.locator('.turn').count(), 0);
  await page.getByText('Ask something.').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'question');
});

pageTest('who answers can be chosen', async (t) => {
  const page = await visit(t, browser, await startProxy(t));
  await page.getByText('3 of 3 ready').waitFor();
  for (const choice of ['gemini', 'gemini/gemini-3.5-flash-lite', 'gemini']) {
    await page.getByLabel('Who answers').selectOption(choice);
    await say(page, 'Hello');
    await page.getByRole('button', { name: 'Retry' }).waitFor();
    assert.match(await lastTurn(page).locator('.who').innerText(), /^Gemini\s+gemini-3.5-flash-lite$/);
  }
});

pageTest('a fallback is told in words', async (t) => {
  const faults = new Faults({ Groq: 'rate_limited' });
  const page = await visit(t, browser, await startOverSimulator(t, { faults }));
  await say(page, 'Hello');
  await lastTurn(page).getByText('Groq is at its limit. Cerebras answered instead.').waitFor();
  await page.getByRole('button', { name: 'Retry' }).waitFor();
  await inspect(page, 'fallback');
  assert.match(await lastTurn(page).locator('.who').innerText(), /^Cerebras/);
});

pageTest('who waits in line is told so, and is answered', async (t) => {
  let calls = 0;
  const groq = await upstream(t, (_, response) => {
    calls += 1;
    if (calls === 1) return limited(response, 6);
    stream(response, answerOf(['Here I am.']));
    return response.end();
  });
  const page = await visit(t, browser, await startOver(t, groq));
  await say(page, 'Hello');
  await lastTurn(page).getByText(/Waiting for a free provider… [2-6](\.\d)? s/).waitFor();
  await inspect(page, 'waiting');
  await lastTurn(page).getByText('Here I am.').waitFor();
  assert.match(await lastTurn(page).innerText(), /Groq is at its limit\. Groq answered instead\.|first word after [5-9]/);
});

pageTest('stopping drops the upstream at once, in the middle of an answer and before it', async (t) => {
  const groq = await upstream(t, ({ messages }, response) => {
    if (messages.at(-1).content === 'talk') stream(response, answerOf(['Endless']).slice(0, 2));
  });
  const page = await visit(t, browser, await startOver(t, groq, { FIRST_TOKEN_TIMEOUT_MS: '60000' }));
  await say(page, 'talk');
  await lastTurn(page).getByText('Endless').waitFor();
  assert.equal(groq.left.length, 0);
  await page.getByRole('button', { name: 'Stop' }).click();
  await eventually('the upstream to be left', () => groq.left.length === 1);
  await lastTurn(page).getByText('You stopped this answer.').waitFor();
  await inspect(page, 'stopped');
  await say(page, 'say nothing');
  await lastTurn(page).getByText('Waiting for the first word').waitFor();
  await page.keyboard.press('Escape');
  await eventually('the upstream to be left', () => groq.left.length === 2);
  await lastTurn(page).getByText('You stopped this answer.').waitFor();
});

pageTest('a provider at its limit is shown with a countdown, in the answer and in the list', async (t) => {
  const groq = await upstream(t, (_, response) => limited(response, 55));
  const page = await visit(t, browser, await startOver(t, groq), { expected: [429] });
  await say(page, 'Hello');
  await page.getByRole('heading', { name: 'Every provider is at its limit' }).waitFor();
  await page.getByText('0 of 1 ready').waitFor();
  await inspect(page, 'limited');
  const seconds = async (place) => Number((await place.innerText()).match(/(\d+) s/)[1]);
  const inAnswer = page.locator('.countdown');
  const before = await seconds(inAnswer);
  assert.ok(before > 40 && before <= 55, `it says ${before} s`);
  await eventually('the countdown to go on', async () => (await seconds(inAnswer)) < before - 1);
  assert.match(await lastTurn(page).innerText(), /Groq is at its limit\. \(HTTP 429\)/);
  await page.getByRole('tab', { name: 'Providers' }).click();
  const card = page.locator('.card', { hasText: 'Groq' }).first();
  await card.getByText(/Resting · \d+ s/).waitFor();
  await inspect(page, 'limited-provider');
  const inCard = card.locator('.state').first();
  const shown = await seconds(inCard);
  await eventually('the countdown to go on', async () => (await seconds(inCard)) < shown);
  await card.getByText('1 × because it is at its limit').waitFor();
});

pageTest('the providers are shown live, each limit with its bar and where its number is from', async (t) => {
  const groq = await upstream(t, (_, response) => {
    const told = { 'x-ratelimit-limit-requests': '1000', 'x-ratelimit-remaining-requests': '970', 'x-ratelimit-reset-requests': '43m12s' };
    response.writeHead(200, { 'content-type': 'text/event-stream', ...told }).end(answerOf(['Hi.']).join(''));
  });
  const proxy = await startOver(t, groq, { GROQ_LIMITS: 'rpm=3' });
  const page = await visit(t, browser, proxy, { path: '/#providers' });
  const ask = () => fetch(`${proxy.origin}/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"messages":[{"role":"user","content":"Hi"}],"stream":false}',
  }).then((it) => it.text());
  const card = page.locator('.card', { hasText: 'Groq' });
  await card.getByText('3 of 3 left').waitFor();
  await card.getByText('Not called yet.').waitFor();
  await ask();
  await ask();
  await card.getByText('1 of 3 left').waitFor();
  assert.equal(await card.locator('.state').innerText(), 'Ready');
  await card.getByText('2 × answered').waitFor();
  assert.match(await card.innerText(), /Requests a minute\s+1 of 3 left\s+from your settings\s+more in (1 min )?\d+ s/);
  assert.match(await card.innerText(), /Requests a day\s+970 of 1,000 left\s+from the provider’s headers/);
  assert.match(await card.innerText(), /First word\s+typical \d+ ms, slowest \d+ ms/);
  const bar = card.getByRole('progressbar', { name: 'Requests a minute' });
  assert.ok(Math.abs((await bar.evaluate((it) => it.value)) - 2 / 3) < 0.001);
  await card.getByRole('img', { name: /Last minutes: now \d+ ms/ }).waitFor();
  await inspect(page, 'providers');
  // What a person has closed stays closed.
  await card.locator('summary').click();
  await ask();
  await eventually('news', () => page.evaluate(async () => (await import('/page/proxy.js')).proxy.report.providers[0].models[0].outcomes.ok === 3));
  assert.equal(await card.locator('details').evaluate((it) => it.open), false);
  await card.getByText(/Resting · \d/).waitFor();
  await page.getByText('0 of 1 ready').waitFor();
});

pageTest('nobody is polled while nobody looks', async (t) => {
  const page = await visit(t, browser, await startProxy(t));
  await page.getByText('3 of 3 ready').waitFor();
  let requests = 0;
  page.on('request', () => (requests += 1));
  const hide = (isHidden) => page.evaluate((it) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => it });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);
  await eventually('two polls', () => requests >= 4);
  await hide(true);
  // A poll may be under way.
  await page.waitForTimeout(500);
  requests = 0;
  await page.waitForTimeout(5_000);
  assert.equal(requests, 0);
  await hide(false);
  await eventually('a poll', () => requests > 0);
});

pageTest('a client key is asked for, refused when it is wrong, and kept in the tab alone', async (t) => {
  const proxy = await startProxy(t, { PROXY_API_KEY: 'the-right-key' });
  const page = await visit(t, browser, proxy, { expected: [401] });
  const key = page.getByLabel('Client key');
  await key.waitFor();
  assert.equal(await page.locator('#key-wrong').textContent(), '');
  await inspect(page, 'key');
  await key.fill('a-wrong-key');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText('That key is wrong').waitFor();
  await inspect(page, 'wrong-key');
  // A header cannot even hold these, as when quotes were copied along.
  await key.fill('“a-key”');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText('That key is wrong').waitFor();
  assert.equal(await page.evaluate(() => Object.values(sessionStorage).join().includes('“')), false);
  await key.fill('the-right-key');
  await page.getByRole('button', { name: 'Use this key' }).click();
  await page.getByText('3 of 3 ready').waitFor();
  assert.ok(await page.getByRole('dialog').isHidden());
  await say(page, 'Hello');
  await page.getByRole('button', { name: 'Retry' }).waitFor();
  assert.match(await lastTurn(page).innerText(), /Groq/);
  await page.getByRole('tab', { name: 'Connect' }).click();
  assert.match(await page.locator('#connect').innerText(), /Authorization: Bearer your-client-key/);
  assert.ok(!(await page.content()).includes('the-right-key'), 'the key stands nowhere on the page');
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage)), '{}');
  await page.reload();
  await page.getByText('3 of 3 ready').waitFor();
  const other = await page.context().newPage();
  await other.goto(proxy.origin);
  await other.getByLabel('Client key').waitFor();
  await other.getByRole('button', { name: 'Not now' }).click();
  await say(other, 'Hello');
  await other.getByRole('heading', { name: 'The key is missing or wrong' }).waitFor();
});

pageTest('without any key the first steps are shown, on a phone, in the dark and in Spanish', async (t) => {
  const proxy = await startProxy(t, {}, []);
  const page = await visit(t, browser, proxy, { locale: 'es-MX', viewport: PHONE, colorScheme: 'dark' });
  await page.getByRole('heading', { name: 'Primeros pasos: basta con una clave gratuita' }).waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'es');
  const links = await page.locator('.first-steps a').evaluateAll((all) => all.map((it) => it.href));
  assert.deepEqual(links, ['https://console.groq.com/keys', 'https://aistudio.google.com/apikey', 'https://cloud.cerebras.ai/']);
  assert.match(await page.locator('.first-steps').innerText(), /CEREBRAS_API_KEY .*\(solo crédito de prueba\)/);
  await inspect(page, 'no-keys-phone-dark-spanish');
  await page.getByRole('tab', { name: 'Proveedores' }).click();
  await page.getByText('Define GROQ_API_KEY y reinicia el proxy.').waitFor();
  await inspect(page, 'no-keys-providers-phone-dark-spanish');
});

for (const [name, settings] of Object.entries({
  phone: { viewport: PHONE, hasTouch: true },
  dark: { colorScheme: 'dark' },
  spanish: { locale: 'es-ES' },
  'phone-dark-spanish': { viewport: PHONE, colorScheme: 'dark', locale: 'es' },
})) {
  pageTest(`all three tabs are in order: ${name}`, async (t) => {
    const page = await visit(t, browser, await startProxy(t), settings);
    await page.locator('#pulse', { hasText: '3' }).waitFor();
    await inspect(page, `${name}-first-visit`);
    await say(page, 'Hola, `mundo`: https://example.org/a-very-long-path/that-has-no-blank/and-goes-on/and-on/until-it-is-too-wide');
    await page.getByRole('button', { name: /Retry|Reintentar/ }).waitFor();
    await inspect(page, `${name}-playground`);
    for (const tab of ['providers', 'connect']) {
      await page.locator(`#tab-${tab}`).click();
      await inspect(page, `${name}-${tab}`);
    }
    const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/)[0]);
    assert.equal(Number(ground) < 60, settings.colorScheme === 'dark', `the ground is ${ground}`);
    const lang = settings.locale ? 'es' : 'en';
    assert.equal(await page.locator('html').getAttribute('lang'), lang);
  });
}

pageTest('the language can be switched, and is remembered', async (t) => {
  const page = await visit(t, browser, await startProxy(t), { locale: 'fr-FR' });
  await page.getByRole('tab', { name: 'Playground' }).waitFor();
  await say(page, 'Hello');
  await page.getByRole('button', { name: 'Retry' }).waitFor();
  await page.getByRole('button', { name: 'ES', exact: true }).click();
  await page.getByRole('button', { name: 'Reintentar' }).waitFor();
  assert.match(await lastTurn(page).innerText(), /primera palabra en/);
  assert.equal(await page.locator('html').getAttribute('lang'), 'es');
  await page.reload();
  await page.getByRole('tab', { name: 'Proveedores' }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'ES', exact: true }).getAttribute('aria-pressed'), 'true');
});

pageTest('everything goes by keyboard', async (t) => {
  const page = await visit(t, browser, await startProxy(t));
  await page.getByText('3 of 3 ready').waitFor();
  await page.keyboard.press('Tab');
  const focused = () => page.evaluate(() => document.activeElement.id);
  assert.equal(await focused(), 'tab-playground');
  for (const [key, id] of [['ArrowRight', 'tab-providers'], ['ArrowRight', 'tab-connect'], ['ArrowRight', 'tab-playground'], ['End', 'tab-connect'], ['ArrowLeft', 'tab-providers'], ['Home', 'tab-playground']]) {
    await page.keyboard.press(key);
    assert.equal(await focused(), id);
    const shown = await page.locator('[role=tabpanel]:visible').getAttribute('aria-labelledby');
    assert.equal(shown, id);
  }
  await page.getByRole('textbox').focus();
  await page.keyboard.type('one');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('two');
  assert.equal(await page.locator('.turn').count(), 0);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Retry' }).waitFor();
  assert.equal(await page.locator('.question').innerText(), 'one\ntwo');
});

pageTest('who wants less motion gets none', async (t) => {
  const groq = await upstream(t, () => {});
  const page = await visit(t, browser, await startOver(t, groq), { reducedMotion: 'reduce' });
  await say(page, 'Hello');
  const dot = page.locator('.who .dot.asking');
  await dot.waitFor();
  assert.equal(await dot.evaluate((it) => getComputedStyle(it).animationName), 'none');
});

pageTest('failures are told in plain words, with what to do', async (t) => {
  const groq = await upstream(t, ({ messages }, response) => {
    switch (messages.at(-1).content) {
      case 'fail':
        return response.writeHead(500, { 'content-type': 'application/json' }).end('{"error":{"message":"oops"}}');
      case 'break off':
        stream(response, answerOf(['Half an ans']).slice(0, 2));
        return setTimeout(() => response.destroy(), 100);
      case 'long story':
        return response
          .writeHead(400, { 'content-type': 'application/json' })
          .end('{"error":{"message":"Please reduce the length of the messages or completion.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}');
      case 'too long':
        return stream(response, [event({ content: 'Cut' }), event({}, { finish_reason: 'length' }), 'data: [DONE]\n\n']) ?? response.end();
      default:
        return response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":{"message":"The prompt is strange","type":"invalid_request_error"}}');
    }
  });
  const page = await visit(t, browser, await startOver(t, groq), { expected: [400, 502] });
  await say(page, 'fail');
  await page.getByRole('heading', { name: 'No provider could answer' }).waitFor();
  assert.match(await lastTurn(page).innerText(), /Retry in a moment\..*Groq failed\. \(HTTP 500\)/s);
  await inspect(page, 'failed');
  await say(page, 'break off');
  await lastTurn(page).getByText('Groq failed in the middle of its answer. What you see is only a part.').waitFor();
  assert.match(await lastTurn(page).innerText(), /Half an ans/);
  await inspect(page, 'broken-off');
  await say(page, 'too long');
  await lastTurn(page).getByText('The answer reached its longest length.').waitFor();
  await say(page, 'long story');
  await page.getByRole('heading', { name: 'The conversation is too large' }).waitFor();
  await page.getByRole('button', { name: 'Clear' }).click();
  await say(page, 'strange');
  await page.getByRole('heading', { name: 'The request was refused' }).waitFor();
  await lastTurn(page).getByText('What the proxy said').click();
  await lastTurn(page).getByText('The prompt is strange').waitFor();
  await inspect(page, 'refused');
});

pageTest('a proxy that is gone is noticed, and so is an answer that it took along', async (t) => {
  const groq = await upstream(t, (_, response) => stream(response, answerOf(['Half']).slice(0, 2)));
  const proxy = await startOver(t, groq);
  const page = await visit(t, browser, proxy, { expected: ['lost'] });
  await say(page, 'Hello');
  await lastTurn(page).getByText('Half').waitFor();
  proxy.kill('SIGKILL');
  await lastTurn(page).getByText('The connection ended early. What you see is only a part.').waitFor();
  await page.getByText('The proxy does not answer. Is it running?').waitFor();
  await say(page, 'Are you there?');
  await page.getByRole('heading', { name: 'The proxy cannot be reached' }).waitFor();
  assert.ok((await lastTurn(page).innerText()).includes(`running at ${proxy.origin}`));
  await inspect(page, 'gone');
});

pageTest('lines to copy have this address and do what they say', async (t) => {
  const proxy = await startProxy(t);
  const page = await visit(t, browser, proxy, { path: '/#connect', permissions: ['clipboard-read', 'clipboard-write'] });
  const copied = async (name) => {
    await page.getByRole('button', { name }).click();
    const part = page.locator('#connect [data-key] > .copy-line').first();
    await part.getByRole('button', { name: 'Copy' }).click();
    await part.getByRole('button', { name: 'Copied' }).waitFor();
    return page.evaluate(() => navigator.clipboard.readText());
  };
  await inspect(page, 'connect');
  const { stdout: told } = await run('bash', ['-c', await copied('curl (bash)')]);
  assert.match(told, /^data: \{"content":.*data: \[DONE\]\n\n$/s);
  for (const [name, file] of [['fetch', 'fetch.mjs'], ['Node (openai)', 'node.mjs']]) {
    const script = new URL(`../../../target/page/${file}`, import.meta.url).pathname;
    await writeFile(script, (await copied(name)).replace("from 'openai'", `from '${import.meta.resolve('openai')}'`));
    assert.match((await run('node', [script])).stdout, /\w+ \w+/, name);
  }
  const python = new URL('../../../target/clients/venv/bin/python', import.meta.url).pathname;
  if (existsSync(python)) assert.match((await run(python, ['-c', await copied('Python (openai)')])).stdout, /\w+ \w+/);
  else t.diagnostic('the line for Python was not run: there is no virtual environment');
});
