// Whatever a model answers stays text on the page, and never freezes it.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { answerOf, inspect, lastTurn, launch, pageTest, say, startOver, stream, upstream, visit } from './page_support.js';

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

/** A page whose upstream says what a question of this name asks for. */
async function asking(t, answers) {
  const groq = await upstream(t, ({ messages }, response) => {
    stream(response, answerOf(answers[messages.at(-1).content]));
    response.end();
  });
  return visit(t, browser, await startOver(t, groq, { MAX_WAIT_MS: '0', GROQ_LIMITS: 'rpm=1000,tpm=100000000,tpd=1000000000' }));
}

/** Asks, and gives the element of the answer when it is complete. */
async function answer(page, question) {
  await say(page, question);
  await lastTurn(page).getByRole('button', { name: 'Copy' }).last().waitFor({ timeout: 60_000 });
  await page.getByRole('button', { name: 'Send' }).waitFor();
  return lastTurn(page).locator('.answer');
}

const MARKUP = [
  '<img src=x onerror="globalThis.caught=1"> <script>globalThis.caught=2</script>',
  '<iframe src="https://evil.example"></iframe><svg onload="globalThis.caught=3"></svg>',
  '[click](javascript:globalThis.caught=4) [data](data:text/html,<script>globalThis.caught=5</script>)',
  '[b](JaVaScRiPt&colon;alert(1)) [c]( javascript:alert(1)) [d](//evil.example) [e](https://user:pass@evil.example)',
  '![picture](https://evil.example/track.png) ![](https://evil.example/alone.png) ![x](javascript:alert(1))',
  '| <img src=x onerror=alert(1)> | b |\n| --- | --- |\n| <b>bold</b> | [x](vbscript:x) |',
  '# <h1 onclick=alert(1)>x</h1>\n> <a href="javascript:alert(1)">quote</a>\n- <img src=y onerror=alert(1)>',
  '```html\n</code></pre><img src=z onerror=alert(1)>\n```',
  '`<img src=w>` [ok](https://example.org/?a="onmouseover=alert(1)) https://example.org/"><img src=v>',
  '&lt;b&gt; &amp; \u0000 \ufeff',
].join('\n\n');

pageTest('markup in an answer is text, and nothing that it names is loaded', async (t) => {
  const page = await asking(t, { markup: MARKUP.match(/[^]{1,5}/g) });
  const shown = await answer(page, 'markup');
  await inspect(page, 'hostile-markup');
  const names = await shown.evaluate((it) => [...new Set([...it.querySelectorAll('*')].map(({ localName }) => localName))].sort());
  const harmless = ['a', 'bdi', 'blockquote', 'button', 'code', 'div', 'h3', 'li', 'p', 'pre', 'span', 'table', 'tbody', 'td', 'th', 'thead', 'tr', 'ul'];
  assert.deepEqual(names, harmless);
  const attributes = await shown.evaluate((it) => [...new Set([...it.querySelectorAll('*')].flatMap((one) => one.getAttributeNames()))].sort());
  assert.deepEqual(attributes, ['class', 'data-text', 'dir', 'href', 'rel', 'tabindex', 'target', 'title', 'type']);
  const links = await shown.locator('a').evaluateAll((all) => all.map(({ href, rel, target }) => `${href} ${rel} ${target}`));
  const safe = 'noopener noreferrer nofollow _blank';
  assert.deepEqual(links, [
    `https://evil.example/ ${safe}`,
    `https://evil.example/track.png ${safe}`,
    `https://evil.example/alone.png ${safe}`,
    `https://example.org/?a=%22onmouseover=alert(1) ${safe}`,
    `https://example.org/ ${safe}`,
  ]);
  const text = await shown.innerText();
  for (const whole of ['<img src=x onerror="globalThis.caught=1">', '<script>', '[click](javascript:globalThis.caught=4)', '&lt;b&gt;']) {
    assert.ok(text.includes(whole), `${whole} in ${text}`);
  }
  assert.equal(await page.evaluate(() => globalThis.caught), undefined);
});

pageTest('characters that turn the direction stay within their paragraph, and are seen in code', async (t) => {
  const page = await asking(t, { turn: ['before \u202eoverride\n\nafter\n\n`a\u202eb`\n\n```\nx = "\u2066y"\n```\n\n', 'the \u202eend'] });
  const shown = await answer(page, 'turn');
  await inspect(page, 'hostile-directions');
  assert.match(await shown.innerText(), /a\[U\+202E\]b/);
  assert.match(await shown.locator('pre').innerText(), /x = "\[U\+2066\]y"/);
  // "after" begins where "before" begins: nothing has turned it.
  const left = (text) => shown.getByText(text).evaluate((it) => {
    const range = document.createRange();
    range.setStart(it.firstChild, 0);
    range.setEnd(it.firstChild, 1);
    return range.getBoundingClientRect().left;
  });
  assert.equal(await left('after'), await left('before'));
});

const MIB = 1024 * 1024;
const many = (text, length) => text.repeat(Math.ceil(length / text.length));

/** Answers that cost a careless page minutes. */
const FLOODS = {
  'a mebibyte without a blank': many('x', MIB),
  'a mebibyte of code on one line': `\`\`\`\n${many('y', MIB)}`,
  'a mebibyte of lines of code': `\`\`\`js\n${many('const a = 1;\n', MIB)}`,
  'stars': many('*', 200_000),
  'stars with words': many('**a *b __c ', 200_000),
  'a list in a list in a list': many('- ', 200_000),
  'quotes of quotes': many('>', 200_000),
  'a staircase of a list': Array.from({ length: 400 }, (_, at) => `${' '.repeat(at)}- x\n`).join(''),
  'brackets': many('[', 200_000),
  'half links': many('[a](', 200_000),
  'half links with blanks': many(`[a](b ${' '.repeat(8)}"`, 200_000),
  'ticks of all lengths': Array.from({ length: 600 }, (_, at) => '`'.repeat(at + 1)).join(' '),
  'a fence and blanks': many(`\`\`\`${' '.repeat(7_000)}\`\n`, 200_000),
  'a heading of blanks': many(`#${' '.repeat(7_000)}\n`, 200_000),
  'dashes that are no table': many(`a|b\n${'-'.repeat(7_000)}x|\n`, 200_000),
  'a table of many columns': many(`${'|'.repeat(3_000)}\n${'-|'.repeat(1_500)}\n`, 100_000),
  'a long table': `|a|b|\n|-|-|\n${many('|1|2|\n', 100_000)}`,
  'addresses': many('https://', 200_000),
  'line ends': many('\n', 200_000),
  'items': many('1. x\n', 100_000),
  'combining marks': many('e\u0301\u0300\u0302\u0303', 100_000),
};

for (const [name, text] of Object.entries(FLOODS)) {
  pageTest(`the page does not freeze at ${name}`, async (t) => {
    const page = await asking(t, { flood: text.match(/[^]{1,4000}/g), small: ['Well again.'] });
    await page.evaluate(() => {
      globalThis.longest = 0;
      let last = performance.now();
      setInterval(() => {
        globalThis.longest = Math.max(globalThis.longest, performance.now() - last);
        last = performance.now();
      }, 20);
    });
    const shown = await answer(page, 'flood');
    const length = await shown.evaluate((it) => it.textContent.length);
    const longest = await page.evaluate(() => globalThis.longest);
    t.diagnostic(`${length} characters shown; the page was busy for at most ${Math.round(longest)} ms`);
    assert.ok(longest < 5_000, `the page was busy for ${longest} ms`);
    // Marks that are no text may be gone; a text without marks is whole.
    if (/^[xye]/.test(text)) assert.equal(length, text.length);
    // The whole conversation would be too long for any provider.
    await page.getByRole('button', { name: 'Clear' }).click();
    assert.match(await (await answer(page, 'small')).innerText(), /^Well again\.$/);
  });
}

pageTest('a line that grows for ever is drawn as it comes, in time that grows with its length', async (t) => {
  const pieces = Array(256).fill(many('word', 4_096));
  const groq = await upstream(t, async (_, response) => {
    const [head, ...rest] = answerOf(pieces);
    stream(response, [head]);
    for (const piece of rest) {
      stream(response, [piece]);
      // A frame or so.
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
    response.end();
  });
  const page = await visit(t, browser, await startOver(t, groq));
  const redrawn = page.evaluate(() => new Promise((resolve) => {
    let characters = 0;
    const { replaceChildren } = Element.prototype;
    Element.prototype.replaceChildren = function (...nodes) {
      for (const node of nodes) characters += typeof node === 'string' ? node.length : (node.textContent?.length ?? 0);
      return replaceChildren.apply(this, nodes);
    };
    globalThis.tell = () => resolve(characters);
  }));
  await say(page, 'Hello');
  await lastTurn(page).getByRole('button', { name: 'Copy' }).last().waitFor({ timeout: 60_000 });
  await page.evaluate(() => globalThis.tell());
  assert.equal((await lastTurn(page).locator('.answer').innerText()).replaceAll('\n', '').length, MIB);
  const drawn = await redrawn;
  t.diagnostic(`${drawn} characters drawn for ${MIB}`);
  // Each line is drawn whenever it has grown: four times at this pace, and half of it each time.
  assert.ok(drawn < 8 * MIB, `${drawn} characters were drawn`);
});
