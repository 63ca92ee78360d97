import { after, before, test } from 'node:test';
import { startProxy } from './support.js';
import { launch, visit, inspect, say, PHONE, lastTurn, upstream, startOver, stream, answerOf, event } from './page_support.js';
let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());
const MD = `# Heading

A paragraph with **bold**, *italic*, \`code\`, ~~gone~~ and a [link](https://example.org/a_(b)). Bare https://example.org/x.

1. First
   - nested **one**
   - nested two

     \`\`\`js
     const x = 1;
     \`\`\`
2. Second

- [ ] task
* star

> A quote
> goes on

| Name | Value |
| --- | ---: |
| a \\| b | \`1\` |
| c | 2 |

\`\`\`python
def primes(n):
    for i in range(n):
        print("hello world, this is a long line that has to be scrolled because it does not fit into the block at all")
\`\`\`

***both*** and snake_case_word, 2 * 3 * 4, unclosed **star
---
End.`;
test('markdown', async (t) => {
  const groq = await upstream(t, (_, response) => { stream(response, answerOf(MD.match(/[^]{1,7}/g))); response.end(); });
  const page = await visit(t, browser, await startOver(t, groq), { viewport: { width: 1120, height: 1500 } });
  await say(page, 'Hi');
  await page.getByRole('button', { name: 'Retry' }).waitFor();
  await inspect(page, 'markdown');
});
test('keyless', async (t) => {
  const proxy = await startProxy(t, {}, []);
  const page = await visit(t, browser, proxy, { locale: 'es-MX', viewport: PHONE, colorScheme: 'dark', expected: [503] });
  await page.getByText('Primeros pasos').waitFor();
  await inspect(page, 'keyless-phone');
  await page.getByRole('tab', { name: 'Proveedores' }).click();
  await inspect(page, 'keyless-providers');
});
test('locked', async (t) => {
  const proxy = await startProxy(t, {PROXY_API_KEY: 'secret-key'}, ['demo']);
  const page = await visit(t, browser, proxy, { expected: [401] });
  await page.getByLabel('Client key').fill('no');
  await page.keyboard.press('Enter');
  await page.getByText('That key is wrong').first().waitFor();
  await inspect(page, 'wrong-key');
});
