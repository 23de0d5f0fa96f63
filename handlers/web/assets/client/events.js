/**
 * Reads a stream of server-sent events (WHATWG HTML, 9.2.6) from the body of a response. EventSource can neither send
 * a header nor tell why it failed.
 * @module
 */

/** @typedef {{ type: string, data: string, id: string }} Event */

/** Makes events of pieces of text, however they are cut. */
export class EventParser {
  #rest = '';
  #type = '';
  #data = [];
  #id = '';

  /** @param {string} text @returns {Event[]} those that it completes */
  feed(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    return lines.map((line) => this.#line(line)).filter(Boolean);
  }

  #line(line) {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#type = value;
    if (field === 'data') this.#data.push(value);
    if (field === 'id') this.#id = value;
    return undefined;
  }

  #dispatch() {
    const event = { type: this.#type || 'message', data: this.#data.join('\n'), id: this.#id };
    const empty = this.#data.length === 0;
    this.#type = '';
    this.#data = [];
    return empty ? undefined : event;
  }
}

/**
 * Yields the events of a response until it ends. Whatever arrives, comments too, is a sign of life.
 * @param {Response} response
 * @param {() => void} alive
 * @returns {AsyncGenerator<Event>}
 */
export async function* eventsOf(response, alive) {
  const parser = new EventParser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      yield* parser.feed(value);
    }
  } finally {
    await reader.cancel().catch(() => { /* it has ended already */ });
  }
}
