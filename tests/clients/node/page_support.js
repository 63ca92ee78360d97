// What the tests of the page share: a browser that keeps every complaint, a check for accessibility, and an upstream
// that says exactly what a test wants.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { chromium } from 'playwright-core';
import { startProxy } from './support.js';

const AXE = await readFile(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const PICTURES = new URL('../../../target/page/', import.meta.url);
const WIDE = { width: 1120, height: 780 };
export const PHONE = { width: 360, height: 740 };

/** A browser for all tests of a file. */
export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });

/** A test whose parts end in the reverse order of their beginning: the page before the proxy that it calls. */
export const pageTest = (name, body) =>
  test(name, async (t) => {
    const ends = [];
    const complaints = [];
    const attempt = async (part) => {
      try {
        await part();
      } catch (error) {
        complaints.push(error);
      }
    };
    await attempt(() => body({ after: (end) => ends.unshift(end), diagnostic: (text) => t.diagnostic(text) }));
    // All of them end, whatever one of them says.
    for (const end of ends) await attempt(end);
    if (complaints.length) throw complaints[0];
  });

/**
 * Opens the page of a proxy as a visitor with these settings of the browser. When the test ends, nothing may have been
 * complained about but refusals with the statuses in `expected` (`lost` is a lost connection), and nobody but the proxy
 * may have been called.
 */
export async function visit(test, browser, proxy, { path = '/', expected = [], ...settings } = {}) {
  const context = await browser.newContext({ locale: 'en-GB', viewport: WIDE, ...settings });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(`${error.stack}`));
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    const why = message.text().match(/^Failed to load resource: (?:.* status of (\d+)|(net::ERR_(?:CONNECTION|INCOMPLETE)_\w+))/);
    const status = why?.[2] ? 'lost' : Number(why?.[1]);
    if (!expected.includes(status)) complaints.push(message.text());
  });
  const strangers = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(`${proxy.origin}/`)) strangers.push(request.url());
  });
  test.after(async () => {
    await context.close();
    assert.deepEqual([complaints, strangers], [[], []], 'the page complained or called somebody else');
  });
  await page.goto(proxy.origin + path);
  return page;
}

/** Asserts that nobody is shut out of what the page shows now, and takes a picture of it. */
export async function inspect(page, name) {
  await mkdir(PICTURES, { recursive: true });
  await page.screenshot({ path: new URL(`${name}.png`, PICTURES).pathname });
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const grave = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
  const told = grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('\n')}`);
  assert.deepEqual(told, [], `axe finds faults in "${name}"`);
  const overhang = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(overhang <= 0, `"${name}" scrolls sideways by ${overhang} pixels`);
}

/** Sends a message as a person does. */
export async function say(page, text) {
  await page.getByRole('textbox').fill(text);
  await page.keyboard.press('Enter');
}

/** The last answer, and what is told of it. */
export const lastTurn = (page) => page.locator('.turn').last();

/** An event of OpenAI's dialect. */
export const event = (delta, more = {}) =>
  `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta, finish_reason: null, ...more }] })}\n\n`;

/** A whole answer of these pieces. */
export const answerOf = (pieces) =>
  [event({ role: 'assistant', content: '' }), ...pieces.map((content) => event({ content })), event({}, { finish_reason: 'stop' }), 'data: [DONE]\n\n'];

/** A provider of the test's own: `respond` gets each question and its response. `closed` tells when it was left. */
export async function upstream(test, respond) {
  const left = [];
  const server = createServer(async (request, response) => {
    if (request.method !== 'POST') return response.writeHead(404).end();
    response.on('close', () => !response.writableFinished && left.push(performance.now()));
    const body = JSON.parse(Buffer.concat(await request.toArray()).toString());
    respond(body, response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  test.after(() => server.closeAllConnections() ?? server.close());
  return { url: `http://127.0.0.1:${server.address().port}`, left };
}

/** Starts a proxy whose only provider is Groq, as this upstream plays it. */
export const startOver = (test, { url }, env = {}) =>
  startProxy(test, { GROQ_API_KEY: 'a-key', GROQ_MODEL: 'openai/gpt-oss-20b', GROQ_BASE_URL: url, ...env }, []);

/** Streams these pieces at once, as an answer of Groq. */
export function stream(response, pieces) {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const piece of pieces) response.write(piece);
}

/** Waits until `condition` gives something. */
export async function eventually(what, condition, patience = 20_000) {
  for (const start = performance.now(); performance.now() - start < patience; ) {
    const found = await condition();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return assert.fail(`waited too long for ${what}`);
}
