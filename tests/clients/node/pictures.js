// Takes the pictures of the documents: a conversation with a fallback, and the providers. Run by hand with the settings
// of tests/clients/run, when the page has changed its looks.

import { fileURLToPath } from 'node:url';
import { after, test } from 'node:test';
import { answerOf, launch, lastTurn, pageTest, say, stream, upstream, visit } from './page_support.js';
import { startProxy, url } from './support.js';

const FOLDER = fileURLToPath(new URL('../../../docs/images/', import.meta.url));
const QUESTION = 'How do I count the words of a file in Python?';
const ANSWER = `Split the text at **whitespace** and count the parts:

\`\`\`python
from pathlib import Path

words = Path("notes.txt").read_text(encoding="utf-8").split()
print(len(words))
\`\`\`

1. \`read_text\` reads the whole file.
2. \`split()\` without an argument splits at any blanks and line ends.`;

let browser;
test('a browser', async () => {
  browser = await launch();
});
after(() => browser?.close());

/** Answers word by word, as fast as such a provider does. */
const answering = (t, text) =>
  upstream(t, async (_, response) => {
    const pieces = answerOf(text.match(/\S*\s*/g).filter(Boolean));
    const usage = `data: {"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":${pieces.length},"total_tokens":${20 + pieces.length}}}\n\n`;
    for (const piece of [...pieces.slice(0, -1), usage, pieces.at(-1)]) {
      stream(response, [piece]);
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    response.end();
  });

const settings = (groq, cerebras) => ({
  GROQ_API_KEY: 'a-key', GROQ_MODEL: 'openai/gpt-oss-20b', GROQ_BASE_URL: groq, GROQ_LIMITS: 'rpm=3',
  CEREBRAS_API_KEY: 'a-key', CEREBRAS_MODEL: 'gpt-oss-120b', CEREBRAS_BASE_URL: cerebras,
  GOOGLE_API_KEY: 'a-key', GEMINI_MODEL: 'gemini-3.5-flash-lite', GOOGLE_GEMINI_BASE_URL: url('Gemini'),
});

pageTest('the playground', async (t) => {
  const groq = await upstream(t, (_, response) =>
    response.writeHead(429, { 'content-type': 'application/json', 'retry-after': 40 }).end('{"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}}'));
  const proxy = await startProxy(t, settings(groq.url, (await answering(t, ANSWER)).url), []);
  const page = await visit(t, browser, proxy, { viewport: { width: 920, height: 690 } });
  await page.locator('#pulse', { hasText: '3 of 3' }).waitFor();
  await say(page, QUESTION);
  await lastTurn(page).getByRole('button', { name: 'Retry' }).waitFor();
  await page.locator('#pulse', { hasText: '2 of 3' }).waitFor();
  await page.screenshot({ path: `${FOLDER}playground.png` });
});

pageTest('the providers', async (t) => {
  const { url: here } = await answering(t, ANSWER);
  const proxy = await startProxy(t, settings(here, here), []);
  const page = await visit(t, browser, proxy, { viewport: { width: 1120, height: 690 }, colorScheme: 'dark', path: '/#providers' });
  for (let count = 0; count < 14; count += 1) {
    const body = JSON.stringify({ messages: [{ role: 'user', content: QUESTION }], stream: false });
    const reply = await fetch(`${proxy.origin}/chat`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    await reply.text();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  await page.waitForTimeout(2_500);
  await page.screenshot({ path: `${FOLDER}providers.png` });
});
