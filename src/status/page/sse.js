// Server-sent events out of a text that arrives in any pieces.

/** Reads the `data` of events. */
export class Events {
  #line = '';
  #data = [];
  #afterReturn = false;

  /** The data of every event that is complete with this piece. */
  push(text) {
    const complete = [];
    // A line end may be cut between its two characters.
    if (this.#afterReturn && text.startsWith('\n')) text = text.slice(1);
    if (text) this.#afterReturn = text.endsWith('\r');
    const lines = text.split(/\r\n|\r|\n/);
    for (const [at, part] of lines.entries()) {
      this.#line += part;
      if (at === lines.length - 1) break;
      this.#take(this.#line, complete);
      this.#line = '';
    }
    return complete;
  }

  #take(line, complete) {
    if (line === '') {
      if (this.#data.length) complete.push(this.#data.join('\n'));
      this.#data = [];
    } else if (line.startsWith('data:')) {
      this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
    }
  }
}
