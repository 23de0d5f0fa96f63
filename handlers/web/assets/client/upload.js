/**
 * Takes one file from the page to object storage.
 * @module
 */
import { hold } from './memory.js';
import { Parts } from './parts.js';
import { sendWhole } from './single.js';
import { sha256 } from './storage.js';
import { settled } from './watch.js';

const parallel = 4; // parts: a browser opens six connections to an HTTP/1.1 server
const digestible = 64 << 20; // bytes: a browser calculates a checksum of what is in memory only
const relistings = 3; // how often parts that storage turns out not to have are sent again

/** One run of one file. */
export class Run {
  #api;
  #memory;
  #file;
  #options;
  #upload;

  /**
   * @param {import('./api.js').API} api
   * @param {import('./memory.js').Memory} memory
   * @param {File} file
   * @param {import('../client.js').UploadOptions} options
   */
  constructor(api, memory, file, options) {
    this.#api = api;
    this.#memory = memory;
    this.#file = file;
    this.#options = options;
  }

  /** @returns {Promise<object>} the upload, once its bytes have arrived */
  async run() {
    const { release, ...sendable } = await this.#resume() ?? await this.#begin();
    try {
      return await this.#send(sendable);
    } finally {
      release?.();
    }
  }

  /** The remembered upload of this file, if it can go on where it was interrupted and nobody else is sending it. */
  async #resume() {
    const remembered = this.#options.resume === false ? undefined : this.#memory.recall(this.#file);
    const release = remembered && await hold(`upload-${remembered.id}`);
    if (!release) return undefined;
    if (remembered.token) this.#api.entrust(remembered.id, remembered.token);
    try {
      const found = await this.#remembered(remembered);
      if (found) return { ...found, checksums: remembered.checksums, release };
    } catch (error) {
      release();
      throw error;
    }
    this.#memory.forget(remembered.id);
    release();
    return undefined;
  }

  async #remembered({ id, token }) {
    const { signal } = this.#options;
    try {
      const upload = await this.#api.show(id, { signal });
      if (upload.state === 'initiated' && upload.method === 'multipart') return await this.#listed(upload);
      if (upload.state === 'initiated') await this.#api.delete(id, { signal }); // what arrived of a PUT is nothing
      else if (!settled(upload)) return { upload };
    } catch (error) {
      const gone = token ? [401, 403, 404, 405, 409] : [404, 405, 409]; // other tokens are renewed by signing in
      if (!gone.includes(error.status)) throw error;
    }
    return undefined;
  }

  /** An upload with what storage has of it. Parts that are gone were joined, or else completing it is refused. */
  async #listed(upload) {
    const { signal } = this.#options;
    try {
      return { upload, stored: await this.#api.parts(upload.id, { signal }) };
    } catch (error) {
      if (error.code !== 'upload_settled') throw error;
      return { upload: await this.#api.complete(upload.id, undefined, { signal }) };
    }
  }

  async #begin() {
    const { begin, method, metadata, sha256: wanted, signal } = this.#options;
    const { name, type, size } = this.#file;
    const declaration = {
      filename: name, content_type: type || 'application/octet-stream', size, method, metadata,
      sha256: await this.#checksum(), part_sha256: wanted === true || undefined,
    };
    const begun = begin ? await begin(declaration) : await this.#api.begin(declaration, signal);
    const capability = begin && begun.token;
    if (capability) this.#api.entrust(begun.id, capability);
    const release = await hold(`upload-${begun.id}`);
    const checksums = needsChecksums(begun);
    this.#memory.remember(this.#file, begun.id, { token: capability, checksums });
    return { upload: begun, checksums, release };
  }

  async #checksum() {
    const { sha256: wanted } = this.#options;
    if (wanted !== true) return wanted || undefined;
    return this.#file.size <= digestible ? sha256(this.#file) : undefined;
  }

  async #send({ upload: { upload: permission, token, ...upload }, stored, checksums }) {
    this.#changed(upload);
    if (upload.state === 'initiated') {
      const arrived = upload.method === 'multipart'
        ? await this.#sendParts(permission, stored, checksums)
        : await this.#sendWhole(permission);
      this.#changed(arrived);
    }
    this.#progress(this.#file.size);
    this.#memory.forget(upload.id);
    return this.#upload;
  }

  async #sendWhole(permission) {
    const { signal } = this.#options;
    await sendWhole(permission, this.#file, { onProgress: this.#progress, signal });
    return this.#api.complete(this.#upload.id, undefined, { signal });
  }

  async #sendParts(permission, stored, checksums) {
    const { signal, concurrency = parallel } = this.#options;
    const parts = new Parts(this.#api, this.#file, {
      id: this.#upload.id, concurrency, checksums, onProgress: this.#progress,
    });
    let listing = stored ?? { ...permission, parts: [] };
    if (permission) parts.offer(permission.parts);
    for (let tries = 0; ; tries++) {
      if (tries > 0) listing = await this.#api.parts(this.#upload.id, { signal });
      await parts.send(listing, signal);
      try {
        return await this.#api.complete(this.#upload.id, parts.receipt, { signal });
      } catch (error) {
        if (!/^part(s_missing|_size_mismatch|_etag_mismatch)$/.test(error.code) || tries >= relistings) throw error;
      }
    }
  }

  #changed(upload) {
    this.#upload = upload;
    this.#options.onChange?.(upload);
  }

  #progress = (sent) => this.#options.onProgress?.({ sent, total: this.#file.size });
}

/**
 * Whether each part must come with its SHA-256: no part is signed yet. Whoever began the upload may have declared
 * something else than was asked for.
 */
const needsChecksums = ({ method, upload }) => method === 'multipart' && !upload.parts?.length;
