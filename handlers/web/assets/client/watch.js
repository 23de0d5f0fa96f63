/**
 * Follows an upload to its outcome by the best way there is: a stream of events, then requests that wait for news,
 * then requests that ask again and again.
 * @module
 */
import { problemOf, SluiceError } from './errors.js';
import { readJSON } from './api.js';
import { eventsOf } from './events.js';
import { hold } from './memory.js';
import { attempts, backoff, follow, pause } from './patience.js';

const underWay = ['initiated', 'uploaded', 'verified', 'clean', 'processed'];

// A browser opens six connections to an HTTP/1.1 server, for all of its tabs. Streams must leave some to the others.
const streams = ['stream-1', 'stream-2', 'stream-3'];

const firstEvent = 6_000; // milliseconds; a proxy that holds back what it should pass on shows itself here
const heartbeat = 45_000; // milliseconds of silence after which a stream is taken for dead
const barrenStreams = 3; // in a row, without news: no more are opened then
const waitFor = 25; // seconds that a request waits for news
const pollEvery = [400, 700, 1000, 1500, 2500, 4000]; // milliseconds; the last one from then on

/** Whether an upload has its outcome, good or bad. @param {{ state: string }} upload */
export const settled = ({ state }) => !underWay.includes(state);

/** Follows one upload. */
export class Watch {
  #api;
  #id;
  #options;
  #latest;
  #failures = 0; // in a row, of requests that were not answered as they should be
  #barren = 0; // in a row, streams that ended without news

  /**
   * @param {import('./api.js').API} api
   * @param {string} id
   * @param {{ onChange?: (upload: object) => void, signal?: AbortSignal, token?: string }} options
   */
  constructor(api, id, options) {
    this.#api = api;
    this.#id = id;
    this.#options = options;
  }

  /** @returns {Promise<object>} the upload, with its outcome */
  async run() {
    const { signal } = this.#options;
    let ways = [this.#stream, this.#longPoll, this.#poll];
    for (;;) {
      signal?.throwIfAborted();
      try {
        if (!await ways[0].call(this)) ways = ways.slice(1); // this way does not work here
      } catch (error) {
        signal?.throwIfAborted();
        if (!error.temporary || ++this.#failures >= attempts) throw error;
        await pause(backoff(this.#failures, error.retryAfter), signal);
      }
      if (this.#latest && settled(this.#latest)) return this.#latest;
    }
  }

  #heard(upload) {
    if (upload.version <= (this.#latest?.version ?? 0)) return;
    this.#latest = upload;
    this.#barren = 0;
    this.#options.onChange?.(upload);
  }

  /** Each way returns false when there is no use in going it again, and true when it was interrupted. */
  async #stream() {
    const release = await hold(...streams);
    if (!release) return false;
    const known = this.#latest?.version;
    const connection = follow(this.#options.signal);
    let open = false;
    let watchdog;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => connection.abort(silence()), this.#latest ? heartbeat : firstEvent);
    };
    alive();
    try {
      const headers = { Accept: 'text/event-stream', ...(known && { 'Last-Event-ID': String(known) }) };
      const response = await this.#once('/events', connection.signal, headers);
      if (isRefusal(response)) throw await problemOf(response);
      if (!isStream(response)) return false;
      open = true;
      this.#failures = 0;
      for await (const event of eventsOf(response, alive)) {
        if (event.type !== 'upload') continue;
        this.#heard(JSON.parse(event.data));
        alive();
        if (settled(this.#latest)) return true;
      }
    } catch (error) {
      if (!this.#latest && connection.signal.reason?.code === 'network') return false; // nothing comes through
      if (!open) throw error;
    } finally {
      clearTimeout(watchdog);
      connection.abort();
      release();
    }
    if (this.#latest?.version === known) this.#barren++;
    await pause(backoff(Math.max(1, this.#barren)), this.#options.signal);
    return this.#barren < barrenStreams;
  }

  async #longPoll() {
    if (!this.#latest) return this.#ask('');
    const release = await hold(...streams);
    if (!release) return false;
    const asked = Date.now();
    try {
      const known = this.#latest.version;
      if (!await this.#ask(`?wait=${waitFor}s&after=${known}`)) return false;
      return this.#latest.version > known || Date.now() - asked > 1000; // or else it does not know how to wait
    } finally {
      release();
    }
  }

  async #poll() {
    for (let asked = 0; !this.#latest || !settled(this.#latest); asked++) {
      if (asked > 0) await pause(pollEvery[Math.min(asked, pollEvery.length) - 1], this.#options.signal);
      const known = this.#latest?.version;
      await this.#ask('');
      if (this.#latest.version !== known) asked = 0;
    }
    return true;
  }

  /** Asks how the upload stands. It returns false when the question was not understood. */
  async #ask(query) {
    const headers = this.#latest && { 'If-None-Match': `"${this.#latest.version}"` };
    const response = await this.#once(query, this.#options.signal, headers);
    if (response.ok) this.#heard(await readJSON(response));
    if (response.ok || response.status === 304) {
      this.#failures = 0;
      return true;
    }
    if (query && !isRefusal(response)) return false;
    throw await problemOf(response);
  }

  #once(rest, signal, headers) {
    return this.#api.onceOf(this.#id, rest, { signal, headers, token: this.#options.token });
  }
}

const isStream = (response) => response.ok && response.headers.get('Content-Type')?.startsWith('text/event-stream');

/** Whether another way of asking would be answered the same. */
const isRefusal = ({ status }) => status === 401 || status === 403 || status === 429 || status >= 500;

const silence = () => new SluiceError('the stream of events is silent', { code: 'network' });
