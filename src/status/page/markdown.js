// An answer as elements, while it grows. What is complete is never touched again, and what is under way has a largest
// size, so the time is in proportion to the length. HTML is text.

import { copy, el } from './dom.js';
import { inline, visible } from './inline.js';
import { flash, t } from './texts.js';

/** A longer line is cut and a longer paragraph ends: what is under way is drawn again for each frame. */
const MOST_CHARS = 8_000;
/** Lists and quotes within each other. */
const DEEPEST = 5;
/** As much code in one element as a browser lays out quickly. */
const CODE_PART_CHARS = 4_000;
const MOST_COLUMNS = 40;

const FENCE = /^(\s{0,12})(`{3,}|~{3,}(?!~))([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(\S.*)$/;
const RULE = /^ {0,3}([-*_])(?:\s{0,3}\1){2,60}\s{0,9}$/;
const ITEM = /^(\s{0,12})([-*+]|\d{1,9}[.)])\s{1,4}(?=\S)/;
const QUOTE = /^ {0,3}> ?/;
const TABLE_RULE = /^(?=.*-)[\s|:-]*$/;
/** A line that has only begun, so far that nobody can say what it will be. */
const UNDECIDED = /^(?:[-*+_`~#>|]*|\d{1,9}[.)]?)$/;

/** Shows Markdown in an element. */
export class Markdown {
  #parent;
  #depth;
  #block = null;
  #list = null;
  #draft = null;
  #partial = '';

  constructor(parent, depth = 0) {
    this.#parent = parent;
    this.#depth = depth;
  }

  /** More of the text. */
  push(text) {
    const lines = text.split('\n');
    for (const [at, part] of lines.entries()) {
      this.#partial += part;
      while (this.#partial.length > MOST_CHARS) this.#cut();
      if (at === lines.length - 1) break;
      this.line(this.#partial.replace(/\r$/, ''), '\n');
      this.#partial = '';
    }
    this.draw(this.#partial);
  }

  /** There is no more. */
  end() {
    if (this.#partial) this.line(this.#partial, '');
    this.close();
  }

  #cut() {
    // Not within a character of two halves.
    const end = /[\ud800-\udbff]/.test(this.#partial[MOST_CHARS - 1]) ? MOST_CHARS - 1 : MOST_CHARS;
    this.line(this.#partial.slice(0, end), '');
    this.#partial = this.#partial.slice(end);
  }

  /** A line with its end; one that was cut has none. */
  line(line, end) {
    this.#dropDraft();
    if (this.#block?.isTableHead?.(line)) {
      const table = new Table(this.#block.text, line);
      this.#block.element.replaceWith(table.element);
      this.#block = table;
      return;
    }
    if (this.#block && !this.#block.takes(line)) this.close();
    if (this.#block) this.#block.add(line, end);
    else if (line.trim()) this.#begin(line, end);
    if (this.#block?.isOver) this.close();
  }

  /** Shows what is under way, and a line of which this much is known. */
  draw(partial) {
    this.#dropDraft();
    const isTaken = this.#block?.takes(partial);
    this.#block?.draw(isTaken ? partial : '');
    if (isTaken || UNDECIDED.test(partial.trim())) return;
    const list = this.#list;
    const block = newBlock(partial, this.#depth, '');
    this.#draft = this.#place(block);
    block.close();
    this.#list = list;
  }

  /** Whether a line that stands further to the left may go on with what was said last. */
  isInParagraph() {
    return Boolean(this.#block?.isInParagraph?.());
  }

  close() {
    this.#dropDraft();
    this.#block?.close();
    this.#block = null;
  }

  #begin(line, end) {
    this.#block = newBlock(line, this.#depth, end);
    this.#place(this.#block);
    if (!this.#block.listName) this.#list = null;
  }

  /** Puts a block where it belongs; gives the element that is new. */
  #place(block) {
    if (block.listName && this.#list?.localName === block.listName) {
      this.#list.append(block.element);
      return block.element;
    }
    const element = block.listName ? (this.#list = block.list()) : block.element;
    this.#parent.append(element);
    return element;
  }

  #dropDraft() {
    this.#draft?.remove();
    this.#draft = null;
  }
}

function newBlock(line, depth, end) {
  const fence = FENCE.exec(line);
  if (fence) return new Code(fence);
  if (RULE.test(line)) return new Single(el('hr'));
  const heading = HEADING.exec(line);
  if (heading) return new Single(headed(heading));
  if (depth < DEEPEST && QUOTE.test(line)) return new Quote(line, depth, end);
  const item = depth < DEEPEST && ITEM.exec(line);
  return item ? new Item(item, line, depth, end) : new Paragraph(line);
}

/** The page has its own headings of the first two levels. */
const headed = ([, marks, text]) =>
  el(`h${Math.min(marks.length + 2, 6)}`, { dir: 'auto' }, inline(text.replace(/\s#+\s*$/, '')));

const beginsOther = (line) => [FENCE, HEADING, QUOTE, RULE, ITEM].some((pattern) => pattern.test(line));
const indentOf = (line) => line.length - line.trimStart().length;

/** A heading or a rule. */
class Single {
  isOver = true;

  constructor(element) {
    this.element = element;
  }

  close() {}
}

class Paragraph {
  element = el('p', { dir: 'auto' });
  #drawn = null;

  constructor(line) {
    this.text = line.trim();
  }

  get isOver() {
    return this.text.length >= MOST_CHARS;
  }

  isInParagraph() {
    return true;
  }

  isTableHead(line) {
    const isOneLine = !this.text.includes('\n');
    return isOneLine && line.includes('|') && TABLE_RULE.test(line) && cells(this.text).length === cells(line).length;
  }

  takes(line) {
    return line.trim() && !beginsOther(line);
  }

  add(line) {
    this.text += `\n${line.trim()}`;
  }

  draw(partial) {
    const text = partial ? `${this.text}\n${partial.trim()}` : this.text;
    if (text !== this.#drawn) this.element.replaceChildren(...inline(text));
    this.#drawn = text;
  }

  close() {
    this.draw('');
  }
}

/** Blocks within a block. */
class Nest {
  constructor(name, depth) {
    this.element = el(name, { dir: 'auto' });
    this.content = new Markdown(this.element, depth + 1);
  }

  add(line, end) {
    this.content.line(this.within(line), end);
  }

  draw(partial) {
    this.content.draw(this.within(partial));
  }

  close() {
    this.content.close();
  }
}

class Quote extends Nest {
  constructor(line, depth, end) {
    super('blockquote', depth);
    this.add(line, end);
  }

  takes(line) {
    return QUOTE.test(line);
  }

  within(line) {
    return line.replace(QUOTE, '');
  }
}

class Item extends Nest {
  #indent;
  #number;
  #isAfterBlank = false;

  constructor([mark, indent, bullet], line, depth, end) {
    super('li', depth);
    this.#indent = indent.length;
    this.#number = parseInt(bullet, 10);
    this.listName = this.#number >= 0 ? 'ol' : 'ul';
    this.content.line(line.slice(mark.length), end);
  }

  list() {
    return el(this.listName, { start: this.#number > 1 && this.#number }, this.element);
  }

  takes(line) {
    const isInside = !line.trim() || indentOf(line) >= this.#indent + 2;
    return isInside || (!this.#isAfterBlank && !beginsOther(line) && this.isInParagraph());
  }

  isInParagraph() {
    return this.content.isInParagraph();
  }

  within(line) {
    return line.slice(Math.min(indentOf(line), this.#indent + (this.#number >= 0 ? 3 : 2)));
  }

  add(line, end) {
    this.#isAfterBlank = !line.trim();
    super.add(line, end);
  }
}

class Code {
  isOver = false;
  #fence;
  #indent;
  #code = el('code');
  #said = [];
  #part;
  #tail = document.createTextNode('');

  constructor([, indent, fence, info]) {
    this.#fence = fence;
    this.#indent = indent.length;
    const onclick = ({ target }) => copy(this.#said.join('')).then(() => flash(target, 'copied'));
    const button = el('button', { type: 'button', class: 'quiet', 'data-text': 'copy', onclick }, t('copy'));
    const language = el('bdi', null, info.trim().split(/\s/)[0].slice(0, 40));
    const pre = el('pre', { tabindex: 0, dir: 'ltr' }, this.#code);
    this.element = el('div', { class: 'code' }, el('div', { class: 'bar' }, language, button), pre);
    this.#newPart();
  }

  takes() {
    return true;
  }

  #within(line) {
    return line.slice(Math.min(indentOf(line), this.#indent));
  }

  add(line, end) {
    this.#tail.data = '';
    const text = line.trim();
    this.isOver = text.length >= this.#fence.length && text === this.#fence[0].repeat(text.length);
    if (this.isOver) return;
    this.#said.push(this.#within(line) + end);
    this.#part.appendData(visible(this.#said.at(-1)));
    if (this.#part.length > CODE_PART_CHARS) this.#newPart();
  }

  draw(partial) {
    // A line of nothing but marks may be the end.
    this.#tail.data = UNDECIDED.test(partial.trim()) ? '' : visible(this.#within(partial));
  }

  #newPart() {
    this.#part = document.createTextNode('');
    this.#code.append(el('span', { class: 'part-of-code' }, this.#part, this.#tail));
  }

  close() {
    this.draw('');
  }
}

class Table {
  #rows = el('tbody');
  #columns;

  constructor(head, rule) {
    this.#columns = cells(rule);
    const table = el('table', null, el('thead', null, this.#row('th', head)), this.#rows);
    this.element = el('div', { class: 'table', tabindex: 0 }, table);
  }

  #row(name, line) {
    const all = cells(line);
    return el('tr', null, this.#columns.map((_, at) => el(name, { dir: 'auto' }, inline(all[at] ?? ''))));
  }

  takes(line) {
    return line.includes('|');
  }

  add(line) {
    this.#rows.append(this.#row('td', line));
  }

  draw() {}

  close() {}
}

/** The cells of a line of a table; `\|` is no border. */
const cells = (line) =>
  line.trim().replace(/^\||(?<!\\)\|$/g, '').split(/(?<!\\)\|/, MOST_COLUMNS).map((it) => it.trim().replaceAll('\\|', '|'));
