// An answer as elements, while it grows. What is complete is never touched again, and what is under way has a largest
// size, so an answer of any length is shown in time in proportion to its length. HTML in an answer is text.

import { copy, el } from './dom.js';
import { inline, visible } from './inline.js';
import { flash, t } from './texts.js';

/** A longer line is cut, and a longer paragraph ends: what is under way is drawn again for each frame. */
const MOST_CHARS = 8_000;
/** Lists and quotes within each other. */
const DEEPEST = 5;
/** As much code in one element as a browser lays out quickly. */
const CODE_PART_CHARS = 4_000;
const MOST_COLUMNS = 40;

const FENCE = /^(\s{0,12})(`{3,}|~{3,}(?!~))([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(\S.*)$/;
const RULE = /^ {0,3}([-*_])(?:\s{0,3}\1){2,60}\s{0,9}$/;
const ITEM = /^(\s{0,12})([-*+]|\d{1,9}[.)])(\s{1,4})(?=\S)/;
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
  #draft = [];
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
      this.line(this.#partial.replace(/\r$/, ''), true);
      this.#partial = '';
    }
    this.draw(this.#partial);
  }

  /** There is no more. */
  end() {
    if (this.#partial) this.line(this.#partial, false);
    this.#partial = '';
    this.close();
  }

  #cut() {
    const last = this.#partial.charCodeAt(MOST_CHARS - 1);
    // Not within a character of two halves.
    const end = last >= 0xd800 && last < 0xdc00 ? MOST_CHARS - 1 : MOST_CHARS;
    const rest = this.#partial.slice(end);
    this.line(this.#partial.slice(0, end), false);
    this.#partial = rest;
  }

  /** A line is complete, or so long that it is taken for complete. */
  line(line, hasEnd) {
    this.#dropDraft();
    if (this.#block?.isTableHead?.(line)) return this.#replace(new Table(this.#block, line));
    if (this.#block && !this.#block.takes(line)) this.close();
    if (this.#block) this.#block.add(line, hasEnd);
    else if (line.trim()) this.#begin(line, hasEnd);
    if (this.#block?.isOver) this.close();
  }

  /** Shows what is under way, and a line of which this much is known. */
  draw(partial) {
    this.#dropDraft();
    const isTaken = this.#block?.takes(partial);
    this.#block?.draw(isTaken ? partial : '');
    if (!isTaken && !UNDECIDED.test(partial.trim())) this.#drawDraft(partial);
  }

  /** Whether a line that stands further to the left may go on with what was said last. */
  isInParagraph() {
    return this.#block instanceof Paragraph || Boolean(this.#block?.isInParagraph?.());
  }

  close() {
    this.#dropDraft();
    this.#block?.close();
    this.#block = null;
  }

  #begin(line, hasEnd) {
    this.#block = newBlock(line, this.#depth, hasEnd);
    this.#place(this.#block);
    if (!(this.#block instanceof Item)) this.#list = null;
  }

  #replace(block) {
    this.#block.element.replaceWith(block.element);
    this.#block = block;
  }

  /** Puts a block where it belongs; gives the element that is new. */
  #place(block) {
    const isItem = block instanceof Item;
    if (isItem && this.#list?.localName === block.listName) {
      this.#list.append(block.element);
      return block.element;
    }
    const element = isItem ? block.list() : block.element;
    if (isItem) this.#list = element;
    this.#parent.append(element);
    return element;
  }

  #drawDraft(partial) {
    const list = this.#list;
    const block = newBlock(partial, this.#depth, false);
    const element = this.#place(block);
    block.close();
    this.#draft = [element];
    this.#list = list;
  }

  #dropDraft() {
    for (const element of this.#draft) element.remove();
    this.#draft = [];
  }
}

function newBlock(line, depth, hasEnd) {
  const fence = FENCE.exec(line);
  if (fence) return new Code(fence);
  if (RULE.test(line)) return new Single(el('hr'));
  const heading = HEADING.exec(line);
  if (heading) return new Single(headed(heading));
  if (depth < DEEPEST && QUOTE.test(line)) return new Quote(line, depth, hasEnd);
  const item = depth < DEEPEST && ITEM.exec(line);
  return item ? new Item(item, line, depth, hasEnd) : new Paragraph(line);
}

/** The page has its own headings of the first two levels. */
const headed = ([, marks, text]) =>
  el(`h${Math.min(marks.length + 2, 6)}`, { dir: 'auto' }, inline(text.replace(/\s#+\s*$/, '')));

const beginsOther = (line) => [FENCE, HEADING, QUOTE, RULE, ITEM].some((pattern) => pattern.test(line));

/** A heading or a rule. */
class Single {
  isOver = true;

  constructor(element) {
    this.element = element;
  }

  takes() {
    return false;
  }

  draw() {}

  close() {}
}

class Paragraph {
  #text;
  #drawn = null;

  constructor(line) {
    this.#text = line.trim();
    this.element = el('p', { dir: 'auto' });
  }

  get text() {
    return this.#text;
  }

  get isOver() {
    return this.#text.length >= MOST_CHARS;
  }

  isTableHead(line) {
    const [head, rule] = [cells(this.#text), cells(line)];
    return !this.#text.includes('\n') && line.includes('|') && TABLE_RULE.test(line) && head.length === rule.length;
  }

  takes(line) {
    return line.trim() !== '' && !beginsOther(line);
  }

  add(line) {
    this.#text += `\n${line.trim()}`;
  }

  draw(partial) {
    const text = partial ? `${this.#text}\n${partial.trim()}` : this.#text;
    if (text === this.#drawn) return;
    this.#drawn = text;
    this.element.replaceChildren(...inline(text));
  }

  close() {
    this.draw('');
  }
}

class Quote {
  #content;

  constructor(line, depth, hasEnd) {
    this.element = el('blockquote', { dir: 'auto' });
    this.#content = new Markdown(this.element, depth + 1);
    this.add(line, hasEnd);
  }

  takes(line) {
    return QUOTE.test(line);
  }

  add(line, hasEnd) {
    this.#content.line(line.replace(QUOTE, ''), hasEnd);
  }

  draw(partial) {
    this.#content.draw(partial.replace(QUOTE, ''));
  }

  close() {
    this.#content.close();
  }
}

class Item {
  #content;
  #indent;
  #isAfterBlank = false;
  #start;

  constructor([mark, indent, bullet], line, depth, hasEnd) {
    this.#indent = indent.length;
    this.#start = parseInt(bullet, 10);
    this.listName = this.#start >= 0 ? 'ol' : 'ul';
    this.element = el('li', { dir: 'auto' });
    this.#content = new Markdown(this.element, depth + 1);
    this.#content.line(line.slice(mark.length), hasEnd);
  }

  list() {
    return el(this.listName, this.#start >= 0 && this.#start !== 1 ? { start: this.#start } : null, this.element);
  }

  takes(line) {
    if (!line.trim()) return true;
    if (/^\s*/.exec(line)[0].length >= this.#indent + 2) return true;
    return !this.#isAfterBlank && !beginsOther(line) && this.isInParagraph();
  }

  isInParagraph() {
    return this.#content.isInParagraph();
  }

  /** The same line as it stands within the item. */
  #within(line) {
    const blanks = /^\s*/.exec(line)[0].length;
    return line.slice(Math.min(blanks, this.#indent + (this.#start >= 0 ? 3 : 2)));
  }

  add(line, hasEnd) {
    this.#isAfterBlank = !line.trim();
    this.#content.line(this.#within(line), hasEnd);
  }

  draw(partial) {
    this.#content.draw(this.#within(partial));
  }

  close() {
    this.#content.close();
  }
}

class Code {
  isOver = false;
  #fence;
  #indent;
  #code = el('code');
  #parts = [];
  #part = null;
  #tail = document.createTextNode('');

  constructor([, indent, fence, info]) {
    this.#fence = fence;
    this.#indent = indent.length;
    const take = (event) => copy(this.#parts.join('')).then(() => flash(event.target, 'copied'));
    const button = el('button', { type: 'button', class: 'quiet', 'data-text': 'copy', onclick: take }, t('copy'));
    this.element = el('div', { class: 'code' }, el('div', { class: 'bar' }, el('bdi', null, info.trim().split(/\s/)[0].slice(0, 40)), button));
    this.element.append(el('pre', { tabindex: 0, dir: 'ltr' }, this.#code));
    this.#newPart();
  }

  takes() {
    return true;
  }

  #ends(line) {
    const text = line.trim();
    return text.length >= this.#fence.length && text === this.#fence[0].repeat(text.length);
  }

  #within(line) {
    return line.slice(Math.min(/^\s*/.exec(line)[0].length, this.#indent));
  }

  add(line, hasEnd) {
    this.#tail.data = '';
    if (this.#ends(line)) {
      this.isOver = true;
      return;
    }
    const text = this.#within(line) + (hasEnd ? '\n' : '');
    this.#parts.push(text);
    this.#part.appendData(visible(text));
    if (this.#part.length > CODE_PART_CHARS) this.#newPart();
  }

  /** A line of nothing but marks may be the end. */
  draw(partial) {
    this.#tail.data = /^\s*[`~]+$/.test(partial) ? '' : visible(this.#within(partial));
  }

  #newPart() {
    this.#part = document.createTextNode('');
    this.#code.append(el('span', { class: 'part' }, this.#part, this.#tail));
  }

  close() {
    this.#tail.data = '';
  }
}

class Table {
  #alignments;
  #rows = el('tbody');

  constructor(head, rule) {
    this.#alignments = cells(rule).map((cell) => (/^:-*:$/.test(cell) ? 'middle' : cell.endsWith(':') ? 'end' : null));
    const table = el('table', null, el('thead', null, this.#row('th', head.text)), this.#rows);
    this.element = el('div', { class: 'table', tabindex: 0 }, table);
  }

  #row(name, line) {
    const all = cells(line);
    return el('tr', null, this.#alignments.map((it, at) => el(name, { class: it, dir: 'auto' }, inline(all[at] ?? ''))));
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
  line.trim().replace(/^\||(?<!\\)\|$/g, '').split(/(?<!\\)\|/, MOST_COLUMNS).map((cell) => cell.trim().replaceAll('\\|', '|'));
