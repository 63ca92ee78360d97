// Emphasis, code, and links within a paragraph of Markdown, as elements. Every loop here goes forward only, and every
// pattern has a longest match, so a hostile text costs time in proportion to its length.

import { el } from './dom.js';

const SPECIAL = /[\\`*_~[<\n]|!(?=\[)|h(?=ttps?:\/\/)/g;
const LINK = /!?\[([^[\]\n]{0,400})\]\(\s{0,9}<?((?:[^\s()<>]|\([^\s()<>]{0,200}\)){1,1000})>?(?:\s{1,9}"[^"\n]{0,200}")?\s{0,9}\)/y;
const ADDRESS = /https?:\/\/[^\s<>"'`]{1,1000}/y;
const MOST_OPEN = 12;
const TAGS = { '*': 'em', _: 'em', '**': 'strong', __: 'strong', '~~': 'del' };

/** The address, if a browser may be led there. */
export function safeAddress(text) {
  try {
    const url = new URL(text);
    return ['http:', 'https:'].includes(url.protocol) && !url.username && !url.password ? url.href : null;
  } catch {
    return null;
  }
}

const link = (address, children) =>
  el('a', { href: address, title: address, target: '_blank', rel: 'noopener noreferrer nofollow', referrerpolicy: 'no-referrer' }, children);

/** Characters that turn the direction of code are shown, because they make it look like other code. */
export const visible = (code) =>
  code.replace(/[\u202a-\u202e\u2066-\u2069]/g, (it) => `[U+${it.codePointAt(0).toString(16).toUpperCase()}]`);

/** The nodes that `text` means. */
export function inline(text, hasLinks = true) {
  return new Inline(text, hasLinks).nodes();
}

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
      this.#say(text.slice(this.#at, next));
      this.#at = next;
      if (next < text.length && !this.#special(text[next])) {
        this.#say(text[next]);
        this.#at += 1;
      }
    }
    while (this.#open.length > 1) this.#flatten();
    return this.#open[0].nodes;
  }

  #add(node) {
    const { nodes } = this.#open.at(-1);
    // Neighbours become one text.
    if (typeof node === 'string' && typeof nodes.at(-1) === 'string') nodes.push(nodes.pop() + node);
    else nodes.push(node);
  }

  #say(text) {
    if (text) this.#add(text);
  }

  /** Takes what begins here; false if it is only a character. */
  #special(character) {
    switch (character) {
      case '\\':
        return this.#escaped();
      case '`':
        return this.#code();
      case '\n':
        this.#at += 1;
        this.#add(el('br'));
        return true;
      case '[':
      case '!':
        return this.#hasLinks && this.#link();
      case '<':
        return this.#hasLinks && this.#angled();
      case 'h':
        return this.#hasLinks && this.#address();
      default:
        return this.#emphasis(character);
    }
  }

  #escaped() {
    const next = this.#text[this.#at + 1] ?? '';
    if (!/[!-/:-@[-`{-~]/.test(next)) return false;
    this.#say(next);
    this.#at += 2;
    return true;
  }

  #run(character) {
    let end = this.#at;
    while (this.#text[end] === character) end += 1;
    return end - this.#at;
  }

  #code() {
    const length = this.#run('`');
    const start = this.#at + length;
    const end = this.#unclosed.has(length) ? -1 : this.#closingRun(start, length);
    if (end < 0) {
      this.#unclosed.add(length);
      this.#say('`'.repeat(length));
      this.#at = start;
    } else {
      const code = this.#text.slice(start, end).replaceAll('\n', ' ');
      const isPadded = code.startsWith(' ') && code.endsWith(' ') && code.trim() !== '';
      this.#add(el('code', null, visible(isPadded ? code.slice(1, -1) : code)));
      this.#at = end + length;
    }
    return true;
  }

  #closingRun(from, length) {
    const text = this.#text;
    for (let at = text.indexOf('`', from); at >= 0; at = text.indexOf('`', at)) {
      let end = at;
      while (text[end] === '`') end += 1;
      if (end - at === length) return at;
      at = end;
    }
    return -1;
  }

  /** A picture is a link, too: the page loads nothing that an answer names. */
  #link() {
    LINK.lastIndex = this.#at;
    const found = LINK.exec(this.#text);
    const address = found && safeAddress(found[2]);
    if (!address) return false;
    this.#add(link(address, found[1] ? inline(found[1], false) : found[2]));
    this.#at = LINK.lastIndex;
    return true;
  }

  #angled() {
    ADDRESS.lastIndex = this.#at + 1;
    const found = ADDRESS.exec(this.#text)?.[0];
    const address = found && this.#text[ADDRESS.lastIndex] === '>' && safeAddress(found);
    if (!address) return false;
    this.#add(link(address, found));
    this.#at += found.length + 2;
    return true;
  }

  #address() {
    ADDRESS.lastIndex = this.#at;
    if (/\w/.test(this.#text[this.#at - 1] ?? '')) return false;
    const found = ADDRESS.exec(this.#text)?.[0].replace(/[.,;:!?*_~\]]{1,9}$/, '');
    const shown = found && (found.includes('(') ? found : found.replace(/\)$/, ''));
    const address = shown && safeAddress(shown);
    if (!address) return false;
    this.#add(link(address, shown));
    this.#at += shown.length;
    return true;
  }

  #emphasis(character) {
    const length = this.#run(character);
    const before = this.#text[this.#at - 1] ?? ' ';
    const after = this.#text[this.#at + length] ?? ' ';
    const start = this.#at;
    this.#at += length;
    const marks = length === 3 && character !== '~' ? [character.repeat(2), character] : [character.repeat(length)];
    const isWord = character === '_' && /[\p{L}\p{N}]/u.test(before) && /[\p{L}\p{N}]/u.test(after);
    if (!marks.every((mark) => TAGS[mark]) || isWord) {
      this.#say(this.#text.slice(start, this.#at));
      return true;
    }
    const isOpen = (mark) => this.#open.some((it) => it.mark === mark);
    if (/\S/.test(before) && marks.some(isOpen)) marks.toReversed().forEach((mark) => this.#close(mark));
    else if (/\S/.test(after) && this.#open.length < MOST_OPEN) marks.forEach((mark) => this.#open.push({ mark, nodes: [] }));
    else this.#say(this.#text.slice(start, this.#at));
    return true;
  }

  #close(mark) {
    if (!this.#open.some((it) => it.mark === mark)) return this.#say(mark);
    while (this.#open.at(-1).mark !== mark) this.#flatten();
    const { nodes } = this.#open.pop();
    this.#add(el(TAGS[mark], null, nodes));
  }

  /** What was never closed is a character, and what follows it. */
  #flatten() {
    const { mark, nodes } = this.#open.pop();
    this.#add(mark);
    for (const node of nodes) this.#add(node);
  }
}
