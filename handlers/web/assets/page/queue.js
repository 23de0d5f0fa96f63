/**
 * Sends files, a few at a time, and follows what becomes of them.
 * @module
 */
import { SluiceError } from '../client.js';
import * as handles from './handles.js';

const atOnce = 3; // files

/** @typedef {import('./view.js').Item & { live: boolean, handle?: Promise<FileSystemFileHandle | undefined>, kept?: Promise<void>, stop?: AbortController }} Item */

export class Queue {
  #client;
  #on;
  #waiting = [];
  #sending = new Set();
  #batch = []; // what the total is of: everything since there was last nothing to send

  /**
   * @param {import('../client.js').SluiceClient} client
   * @param {{ change: (item: Item) => void, remove: (item: Item) => void, signedOut: () => void }} on
   */
  constructor(client, on) {
    this.#client = client;
    this.#on = on;
  }

  /** Whether leaving the page would interrupt something. */
  get busy() { return this.#sending.size + this.#waiting.length > 0; }

  /** What is being sent, all together. */
  get total() {
    const sent = (item) => (isWaiting(item) ? item.sent ?? 0 : item.file.size);
    return {
      files: this.#batch.length,
      filesSent: this.#batch.filter((item) => !isWaiting(item)).length,
      bytes: sum(this.#batch, (item) => item.file.size),
      bytesSent: sum(this.#batch, sent),
    };
  }

  /** Sends items in their turn. @param {...Item} items each with its file */
  add(...items) {
    if (!this.busy) this.#batch = [];
    for (const item of items) {
      item.phase = 'waiting';
      item.sent = 0;
      if (!this.#batch.includes(item)) this.#batch.push(item);
      this.#waiting.push(item);
      this.#on.change(item);
    }
    this.#next();
  }

  /** Follows an upload whose bytes have arrived. @param {Item} item */
  async follow(item) {
    item.stop = new AbortController();
    try {
      await this.#client.watch(item.upload.id, {
        signal: item.stop.signal,
        onChange: (upload) => this.#changed(item, { phase: 'begun', upload }),
      });
    } catch (error) {
      this.#failed(item, error);
    }
  }

  /** Tries again what failed. @param {Item} item */
  retry(item) {
    if (item.upload && item.upload.state !== 'initiated') {
      this.#changed(item, { phase: 'begun' });
      this.follow(item);
    } else {
      this.add(item);
    }
  }

  /** Stops an item and removes what there is of it. @param {Item} item */
  async delete(item) {
    item.stop?.abort();
    this.#leave(item);
    if (!item.upload) return this.#on.remove(item);
    const { id } = item.upload;
    try {
      this.#changed(item, { phase: 'begun', upload: await this.#client.delete(id) });
    } catch (error) {
      if (error.status !== 404) return this.#failed(item, error);
      this.#client.forget(id);
      this.#on.remove(item);
    }
    return handles.drop(id);
  }

  /** Takes an item that failed off the list. @param {Item} item */
  async dismiss(item) {
    this.#leave(item);
    this.#on.remove(item);
    if (item.upload?.state === 'initiated') await this.#client.delete(item.upload.id).catch(() => { /* it expires */ });
  }

  #next() {
    while (this.#sending.size < atOnce && this.#waiting.length > 0) this.#send(this.#waiting.shift());
  }

  async #send(item) {
    this.#sending.add(item);
    item.stop = new AbortController();
    this.#changed(item, { phase: 'sending', error: undefined });
    try {
      if (item.file.size === 0) throw new SluiceError('the file is empty', { code: 'empty_file' });
      const upload = await this.#client.upload(item.file, {
        signal: item.stop.signal,
        onProgress: ({ sent }) => this.#changed(item, { sent }),
        onChange: (begun) => {
          this.#changed(item, { upload: begun });
          item.kept = handles.keep(begun.id, item.handle);
        },
      });
      this.#changed(item, { phase: 'begun', upload });
      Promise.resolve(item.kept).then(() => handles.drop(upload.id));
      this.follow(item);
    } catch (error) {
      this.#failed(item, error);
    } finally {
      this.#sending.delete(item);
      this.#on.change(item);
      this.#next();
    }
  }

  #changed(item, news) {
    if (news.upload && item.upload?.id === news.upload.id && news.upload.version < item.upload.version) delete news.upload;
    Object.assign(item, news);
    this.#on.change(item);
  }

  #failed(item, error) {
    if (error.name === 'AbortError') return; // whoever stopped it says what is next
    this.#changed(item, { phase: 'failed', error });
    if (error.status === 401) this.#on.signedOut();
  }

  #leave(item) {
    this.#waiting = this.#waiting.filter((other) => other !== item);
    this.#batch = this.#batch.filter((other) => other !== item);
  }
}

const isWaiting = ({ phase }) => phase === 'waiting' || phase === 'sending';
const sum = (items, of) => items.reduce((total, item) => total + of(item), 0);
