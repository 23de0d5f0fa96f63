/**
 * A client of Sluice's upload API for browsers: an ES module without dependencies.
 *
 *     import { SluiceClient } from 'https://uploads.example.com/client.js';
 *
 *     const sluice = new SluiceClient({ baseUrl: 'https://uploads.example.com', token: () => myToken() });
 *     const upload = await sluice.upload(file, { onProgress: ({ sent, total }) => { … } });
 *     const { url, variants } = await sluice.waitUntilReady(upload.id);
 *
 * The bytes go straight to object storage. The types are in client.d.ts beside this file.
 * @module
 */
import { API } from './client/api.js';
import { UploadRefused } from './client/errors.js';
import { hold, localMemory, Memory } from './client/memory.js';
import { Run } from './client/upload.js';
import { settled, Watch } from './client/watch.js';

export { SluiceError, UploadRefused } from './client/errors.js';
export { settled } from './client/watch.js';

export class SluiceClient {
  #api;
  #memory;

  /**
   * Without a token the client works on pages of the API's own origin, which have a session (see signIn).
   * @param {import('./client.js').ClientOptions} [options]
   */
  constructor(options = {}) {
    this.#api = new API(options);
    this.#memory = new Memory(options.storage === undefined ? localMemory() : options.storage, this.#api.base);
  }

  /**
   * Sends a file to object storage. An upload of the same file that was interrupted, by a reload of the page for
   * instance, goes on where it was: parts that have arrived are not sent again. Aborting the signal only interrupts;
   * delete cancels.
   * @param {File} file
   * @param {import('./client.js').UploadOptions} [options]
   * @returns {Promise<import('./client.js').Upload>} as soon as all bytes have arrived; it is not ready yet
   * @throws {import('./client.js').SluiceError}
   */
  upload(file, options = {}) { return new Run(this.#api, this.#memory, file, options).run(); }

  /**
   * Follows an upload until it has its outcome, good or bad.
   * @param {string} id
   * @param {import('./client.js').WatchOptions} [options]
   */
  watch(id, options = {}) { return new Watch(this.#api, id, options).run(); }

  /**
   * Follows an upload until it is ready.
   * @param {string} id
   * @param {import('./client.js').WatchOptions} [options]
   * @throws {UploadRefused} when it has another outcome
   */
  async waitUntilReady(id, options = {}) {
    const upload = await this.watch(id, options);
    if (upload.state !== 'ready') throw new UploadRefused(upload);
    return upload;
  }

  /** @param {string} id @param {import('./client.js').CallOptions} [options] */
  get(id, options) { return this.#api.show(id, options); }

  /** @param {import('./client.js').ListOptions} [options] */
  list(options) { return this.#api.list(options); }

  /**
   * Cancels an upload that is under way, or removes one that has its outcome.
   * @param {string} id
   * @param {import('./client.js').CallOptions} [options]
   */
  async delete(id, options) {
    const upload = await this.#api.delete(id, options);
    this.#memory.forget(id);
    return upload;
  }

  /**
   * Uploads that were begun in this browser, whose bytes have not all arrived and that no tab is sending. They go on
   * when upload is called with the same file.
   * @returns {Promise<import('./client.js').Interrupted[]>} the latest first
   */
  async interrupted() {
    const idle = [];
    for (const { token, checksums, ...one } of this.#memory.all()) {
      const release = await hold(`upload-${one.id}`);
      if (!release) continue;
      release();
      idle.push(one);
    }
    return idle;
  }

  /** Forgets an interrupted upload without cancelling it. @param {string} id */
  forget(id) { this.#memory.forget(id); }

  /**
   * Exchanges a token for the cookie of a session, for pages of the API's own origin.
   * @param {string} token
   */
  async signIn(token) { await this.#api.call('/v1/session', { method: 'POST', token }); }

  /** Ends the session. */
  async signOut() { await this.#api.call('/v1/session', { method: 'DELETE' }); }
}
