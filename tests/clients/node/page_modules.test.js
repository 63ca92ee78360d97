// The modules of the page by themselves, in the browser that runs them.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { after, before } from 'node:test';
import { launch, pageTest, visit } from './page_support.js';
import { startProxy } from './support.js';

const FOLDER = new URL('../../../src/status/page/', import.meta.url);
let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

const MARKDOWN = `# Heading **one** #

A paragraph with **bold**, *italic*, \`code\`, ~~gone~~ and a [link](https://example.org/a_(b)).
Second line; ***both***, snake_case_word, 2 * 3 * 4, unclosed **star, \\*escaped\\*.

1. First
   goes on
   - nested **one**
   - nested two

     \`\`\`js
     const x = 1;
     \`\`\`
2. Second
lazy

7) Seven

* star
> A quote
> - with an item
> goes on

| Name | Value |
| :--- | ---: |
| a \\| b | \`1\` |
| c |

~~~
\`\`\`
~~~
- - -
Bare https://example.org/x, and (https://example.org/y).
\`\`\`python
def f():
    pass`;

const AS_ELEMENTS = [
  '<h3>Heading <strong>one</strong></h3>',
  '<p>A paragraph with <strong>bold</strong>, <em>italic</em>, <code>code</code>, <del>gone</del> and a <a>link</a>.<br>',
  'Second line; <strong><em>both</em></strong>, snake_case_word, 2 * 3 * 4, unclosed **star, *escaped*.</p>',
  '<ol><li><p>First<br>goes on</p><ul><li><p>nested <strong>one</strong></p></li><li><p>nested two</p>',
  '<div><div><bdi>js</bdi><button>Copy</button></div><pre><code><span>const x = 1;\n</span></code></pre></div></li></ul></li>',
  '<li><p>Second<br>lazy</p></li><li><p>Seven</p></li></ol>',
  '<ul><li><p>star</p></li></ul><blockquote><p>A quote</p><ul><li><p>with an item<br>goes on</p></li></ul></blockquote>',
  '<div><table><thead><tr><th>Name</th><th>Value</th></tr></thead><tbody><tr><td>a | b</td><td><code>1</code></td></tr>',
  '<tr><td>c</td><td></td></tr></tbody></table></div>',
  '<div><div><bdi></bdi><button>Copy</button></div><pre><code><span>```\n</span></code></pre></div><hr>',
  '<p>Bare <a>https://example.org/x</a>, and (<a>https://example.org/y</a>).</p>',
  '<div><div><bdi>python</bdi><button>Copy</button></div><pre><code><span>def f():\n    pass</span></code></pre></div>',
].join('');

pageTest('Markdown means the same in whatever pieces it comes', async (t) => {
  const page = await visit(t, browser, await startProxy(t));
  const shown = await page.evaluate(async (text) => {
    const { Markdown } = await import('/page/markdown.js');
    const seen = new Set();
    const drawn = (pieces) => {
      const element = document.createElement('div');
      const markdown = new Markdown(element);
      for (const piece of pieces) markdown.push(piece);
      markdown.end();
      seen.add(element.innerHTML);
    };
    for (let size = 1; size < 60; size += 1) drawn(text.match(new RegExp(`[^]{1,${size}}`, 'g')));
    drawn([text]);
    drawn([text.replaceAll('\n', '\r\n')]);
    return [...seen];
  }, MARKDOWN);
  assert.equal(shown.length, 1, shown.join('\n\n'));
  assert.equal(shown[0].replace(/<(\w+)[^>]*>/g, '<$1>'), AS_ELEMENTS);
});

pageTest('events are read however they are cut and however their lines end', async (t) => {
  const page = await visit(t, browser, await startProxy(t));
  const wrong = await page.evaluate(async () => {
    const { Events } = await import('/page/sse.js');
    const expected = JSON.stringify(['{"content":"a"}', 'two\nlines', '[DONE]']);
    const wrong = [];
    for (const end of ['\n', '\r\n', '\r']) {
      const lines = [': a comment', 'data: {"content":"a"}', '', 'event: x', 'data:two', 'data: lines', '', '', 'data: [DONE]', '', ''];
      const text = lines.join(end);
      for (let first = 0; first <= text.length; first += 1) {
        for (let second = first; second <= text.length; second += 1) {
          const events = new Events();
          const pieces = [text.slice(0, first), text.slice(first, second), text.slice(second)];
          const read = JSON.stringify(pieces.flatMap((piece) => events.push(piece)));
          if (read !== expected) wrong.push([JSON.stringify(pieces), read]);
        }
      }
    }
    return wrong.slice(0, 3);
  });
  assert.deepEqual(wrong, []);
});

/** The table of texts as an object; only its source says which languages a text has. */
async function texts() {
  const source = await readFile(new URL('texts.js', FOLDER), 'utf8');
  return new Function(`return ${source.match(/const TEXTS = (\{[^]*?\n\});/)[1]}`)();
}

pageTest('every text is used, exists, and has the same values in both languages', async () => {
  const all = await texts();
  const names = (await readdir(FOLDER)).filter((name) => name !== 'texts.js' && /\.(js|html)$/.test(name));
  const source = (await Promise.all(names.map((name) => readFile(new URL(name, FOLDER), 'utf8')))).join('\n');
  const values = (text) => (text.match(/\{\w+\}/g) ?? []).sort().join();
  for (const [name, [english, spanish = english]] of Object.entries(all)) {
    assert.equal(values(spanish), values(english), name);
    assert.ok(english && spanish, name);
    // A name may be put together, as `reason_` and a word.
    const stem = name.replace(/_[^_]*$/, '_');
    const isUsed = new RegExp(`['"\`]${name}['"\`]`).test(source) || source.includes(`\`${name.split('_')[0]}_\${`) || source.includes(`\`${stem}\${`);
    assert.ok(isUsed, `${name} is used nowhere`);
  }
  const asked = [...source.matchAll(/\bt\('(\w+)'|data-(?:text|label|hint)="(\w+)"|(?:figure|need)\('(\w+)'/g)];
  for (const [, ...found] of asked) assert.ok(found.find(Boolean) in all, `there is no text ${found}`);
  assert.ok(asked.length > 60);
});
