// Emphasis, code and links within a paragraph, as elements. Loops go forward only and patterns have a longest match, so
// a hostile text costs time in proportion to its length.

import { el } from './dom.js';

const SPECIAL = /[\\`*_~\n]|!?\[|h(?=ttps?:\/\/)/g;
const LINK = /!?\[([^[\]\n]{0,400})\]\(\s{0,9}((?:[^\s()<>]|\([^\s()<>]{0,200}\)){1,1000})(?:\s{1,9}"[^"\n]{0,200}")?\s{0,9}\)/y;
const ADDRESS = /https?:\/\/[^\s<>"'`]{1,1000}/y;
const TAGS = { '*': 'em', _: 'em', '**': 'strong', __: 'strong', '~~': 'del' };
const MOST_OPEN = 12;

/** The address, if it is one that a browser may be led to. */
function safeAddress(text) {
  const url = URL.canParse(text) && new URL(text);
  return url && /^https?:$/.test(url.protocol) && !url.username ? url.href : null;
}

const link = (href, children) =>
  el('a', { href, title: href, target: '_blank', rel: 'noopener noreferrer nofollow' }, children);

/** Characters that turn the direction of code are shown: they make it look like other code. */
export const visible = (code) =>
  code.replace(/[\u202a-\u202e\u2066-\u2069]/g, (it) => `[U+${it.charCodeAt(0).toString(16).toUpperCase()}]`);

/** The nodes that `text` means. */
export const inline = (text, hasLinks = true) => new Inline(text, hasLinks).nodes();

class Inline {
  #text;
  #hasLinks;
  #at = 0;
  #open = [{ mark: '', nodes: [] }];
  #unclosed = new Set();

  constructor(text, hasLinks) {
    this.#text = text;
    this.#hasLinks = hasLinks;
  }

  nodes() {
    const text = this.#text;
    while (this.#at < text.length) {
      SPECIAL.lastIndex = this.#at;
      const next = SPECIAL.exec(text)?.index ?? text.length;
      this.#say(next);
      if (next < text.length && !this.#special(text[next])) this.#say(next + 1);
    }
    while (this.#open.length > 1) this.#flatten();
    return this.#open[0].nodes;
  }

  #add(node) {
    const { nodes } = this.#open.at(-1);
    // Neighbours become one text.
    if (typeof node === 'string' && typeof nodes.at(-1) === 'string') nodes.push(nodes.pop() + node);
    else if (node) nodes.push(node);
  }

  /** Everything up to there is only text. */
  #say(end) {
    this.#add(this.#text.slice(this.#at, end));
    this.#at = end;
  }

  /** Takes what begins here; false if it is only a character. */
  #special(character) {
    if (character === '`') return this.#code();
    if ('*_~'.includes(character)) return this.#emphasis(character);
    if (character === '\n') return this.#take(1, el('br'));
    if (character === '\\') return /[!-/:-@[-`{-~]/.test(this.#text[this.#at + 1]) && this.#take(2, this.#text[this.#at + 1]);
    return this.#hasLinks && (character === 'h' ? this.#address() : this.#link());
  }

  #take(length, node) {
    this.#at += length;
    this.#add(node);
    return true;
  }

  #run(at, character) {
    let end = at;
    while (this.#text[end] === character) end += 1;
    return end - at;
  }

  #code() {
    const length = this.#run(this.#at, '`');
    const start = this.#at + length;
    const end = this.#unclosed.has(length) ? -1 : this.#closingRun(start, length);
    if (end < 0) {
      this.#unclosed.add(length);
      this.#say(start);
      return true;
    }
    const code = this.#text.slice(start, end).replaceAll('\n', ' ');
    const isPadded = code.startsWith(' ') && code.endsWith(' ') && code.trim();
    return this.#take(end + length - this.#at, el('code', null, visible(isPadded ? code.slice(1, -1) : code)));
  }

  #closingRun(from, length) {
    for (let at = this.#text.indexOf('`', from); at >= 0; at = this.#text.indexOf('`', at)) {
      const found = this.#run(at, '`');
      if (found === length) return at;
      at += found;
    }
    return -1;
  }

  /** A picture becomes a link, too: the page loads nothing that an answer names. */
  #link() {
    LINK.lastIndex = this.#at;
    const found = LINK.exec(this.#text);
    const address = found && safeAddress(found[2]);
    return address && this.#take(found[0].length, link(address, found[1] ? inline(found[1], false) : found[2]));
  }

  #address() {
    ADDRESS.lastIndex = this.#at;
    let found = ADDRESS.exec(this.#text)?.[0].replace(/[.,;:!?*_~\]]{1,9}$/, '') ?? '';
    if (found.endsWith(')') && !found.includes('(')) found = found.slice(0, -1);
    const address = !/\w/.test(this.#text[this.#at - 1]) && safeAddress(found);
    return address && this.#take(found.length, link(address, found));
  }

  #emphasis(character) {
    const end = this.#at + this.#run(this.#at, character);
    const mark = this.#text.slice(this.#at, end);
    const marks = mark.length === 3 ? [mark.slice(1), character] : [mark];
    const [before, after] = [this.#text[this.#at - 1] ?? ' ', this.#text[end] ?? ' '];
    const isInWord = character === '_' && /[\p{L}\p{N}]{2}/u.test(before + after);
    const isKnown = !isInWord && marks.every((it) => TAGS[it]);
    const isClosing = isKnown && /\S/.test(before) && marks.every((it) => this.#open.some(({ mark }) => mark === it));
    if (isClosing) marks.reverse().forEach((it) => this.#close(it));
    else if (isKnown && /\S/.test(after) && this.#open.length < MOST_OPEN) this.#open.push(...marks.map((it) => ({ mark: it, nodes: [] })));
    else this.#add(mark);
    this.#at = end;
    return true;
  }

  #close(mark) {
    while (this.#open.at(-1).mark !== mark) this.#flatten();
    const { nodes } = this.#open.pop();
    this.#add(el(TAGS[mark], null, nodes));
  }

  /** What was never closed is text, and so is what follows it. */
  #flatten() {
    const { mark, nodes } = this.#open.pop();
    for (const node of [mark, ...nodes]) this.#add(node);
  }
}
