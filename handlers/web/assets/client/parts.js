/**
 * Sends a file in parts, several at a time, leaving out those that storage has.
 * @module
 */
import { follow, persist } from './patience.js';
import { isSuccess, refusal, requireReadable, send, sha256 } from './storage.js';

const signedAtOnce = 50; // the API takes up to 100

/** Where a part lies in its file. @param {number} number from 1 @returns {{ offset: number, size: number }} bytes */
export function span(number, partSize, fileSize) {
  const offset = (number - 1) * partSize;
  return { offset, size: Math.min(partSize, fileSize - offset) };
}

/**
 * The numbers of the parts that have still to be sent, ascending. A part that storage has with another length than
 * planned is sent again.
 * @param {{ part_size: number, part_count: number, parts: { number: number, size: number }[] }} listing
 * @param {number} fileSize bytes
 */
export function missing({ part_size, part_count, parts }, fileSize) {
  const there = new Map(parts.map(({ number, size }) => [number, size]));
  const numbers = [];
  for (let number = 1; number <= part_count; number++) {
    if (there.get(number) !== span(number, part_size, fileSize).size) numbers.push(number);
  }
  return numbers;
}

/** The parts of one upload. */
export class Parts {
  #api;
  #file;
  #options;
  #permits = new Map(); // by number: presigned requests not used yet
  #signing; // while permits are asked for
  #wanted = new Set(); // numbers of the parts whose turn it is
  #sent = new Map(); // by number: bytes under way or arrived
  #etags = new Map(); // by number

  /**
   * @param {import('./api.js').API} api
   * @param {Blob} file
   * @param {object} options
   * @param {string} options.id of the upload
   * @param {number} options.concurrency
   * @param {boolean} options.checksums whether to have storage check the SHA-256 of each part
   * @param {(sent: number) => void} options.onProgress bytes of the whole file
   */
  constructor(api, file, options) {
    this.#api = api;
    this.#file = file;
    this.#options = options;
  }

  /** What was sent and arrived, for comparison; undefined when the ETag of a part is not known. */
  get receipt() {
    const parts = Array.from(this.#etags, ([number, etag]) => ({ number, etag })).sort((a, b) => a.number - b.number);
    return parts.every(({ etag }) => etag) ? parts : undefined;
  }

  /** Uses permits that came with the upload. */
  offer(permits) {
    if (this.#options.checksums) return; // they bind no checksum
    for (const permit of permits) this.#permits.set(permit.number, permit);
  }

  /**
   * Sends what storage does not have.
   * @param {{ part_size: number, part_count: number, parts: { number: number, size: number, etag: string }[] }} listing
   * @param {AbortSignal} [signal]
   */
  async send(listing, signal) {
    const numbers = missing(listing, this.#file.size);
    this.#sent.clear();
    this.#etags.clear();
    this.#wanted.clear();
    for (const { number, size, etag } of listing.parts) {
      if (numbers.includes(number)) continue;
      this.#sent.set(number, size);
      this.#etags.set(number, etag);
    }
    this.#report();

    const running = follow(signal);
    const lane = async () => {
      for (let number; (number = numbers.shift());) {
        this.#wanted.add(number);
        await this.#sendPart(number, listing.part_size, numbers, running.signal);
      }
    };
    const lanes = Array.from({ length: Math.min(this.#options.concurrency, numbers.length) }, lane);
    try {
      await Promise.all(lanes);
    } catch (error) {
      running.abort(error);
      await Promise.allSettled(lanes);
      throw error;
    } finally {
      running.abort();
    }
  }

  async #sendPart(number, partSize, waiting, signal) {
    const { offset, size } = span(number, partSize, this.#file.size);
    const body = this.#file.slice(offset, offset + size);
    const sum = this.#options.checksums ? await sha256(body) : undefined;
    const { etag } = await persist(async () => {
      const permit = await this.#permit(number, sum, waiting, signal);
      const onProgress = (bytes) => {
        this.#sent.set(number, Math.min(bytes, size));
        this.#report();
      };
      try {
        return accepted(await send({ method: 'PUT', url: permit.url, headers: permit.headers, body, onProgress, signal }));
      } catch (error) {
        this.#sent.delete(number);
        this.#report();
        if (error.code === 'network') await requireReadable(this.#file);
        throw error;
      }
    }, signal);
    this.#sent.set(number, size);
    this.#etags.set(number, etag);
    this.#report();
  }

  /** A presigned request for a part; a used one is never given again, since it may have expired. */
  async #permit(number, sum, waiting, signal) {
    if (sum) return (await this.#api.signParts(this.#options.id, [{ number, sha256: sum }], { signal })).parts[0];
    this.#wanted.add(number);
    while (!this.#permits.has(number)) {
      this.#signing ??= this.#sign([...this.#wanted, ...waiting], signal).finally(() => { this.#signing = undefined; });
      await this.#signing;
    }
    const permit = this.#permits.get(number);
    this.#permits.delete(number);
    this.#wanted.delete(number);
    return permit;
  }

  async #sign(numbers, signal) {
    const fresh = numbers.filter((number) => !this.#permits.has(number)).slice(0, signedAtOnce);
    const { parts } = await this.#api.signParts(this.#options.id, fresh.map((number) => ({ number })), { signal });
    for (const permit of parts) this.#permits.set(permit.number, permit);
  }

  #report() {
    let total = 0;
    for (const bytes of this.#sent.values()) total += bytes;
    this.#options.onProgress(total);
  }
}

/** Storage's answer, when it is a success. A 403 is worth another try: that one is signed anew. */
function accepted(answer) {
  if (isSuccess(answer)) return answer;
  const error = refusal('a part', answer);
  error.temporary ||= answer.status === 403;
  throw error;
}
