/**
 * What outlives the page: which uploads were begun for which files, so that they can be resumed, and who is busy
 * with what, among all tabs of an origin.
 * @module
 */

const prefix = 'sluice:';
const lifetime = 7 * 24 * 3600 * 1000; // milliseconds: parts are not kept longer

/**
 * Names a file as far as a page can recognise it again.
 * @param {{ name: string, size: number, lastModified?: number }} file
 */
export const fingerprint = ({ name, size, lastModified = 0 }) => `${size}-${lastModified}-${name}`;

/**
 * @typedef {object} Remembered
 * @property {string} id of the upload
 * @property {string} name
 * @property {number} size bytes
 * @property {number} lastModified milliseconds since the epoch
 * @property {number} at milliseconds since the epoch
 * @property {string} [token] the upload's own, for pages that have no other
 * @property {boolean} [checksums] whether each part must come with its SHA-256
 */

/** Remembers uploads by the fingerprints of their files. */
export class Memory {
  #storage;
  #prefix;

  /**
   * @param {Storage | null} storage null remembers nothing
   * @param {string} api which the uploads belong to
   */
  constructor(storage, api) {
    this.#storage = storage;
    this.#prefix = `${prefix}${api}:`;
  }

  /** @param {File} file @returns {Remembered | undefined} */
  recall(file) { return this.#read(this.#prefix + fingerprint(file)); }

  /** @param {File} file @param {string} id @param {{ token?: string, checksums?: boolean }} [facts] */
  remember(file, id, { token, checksums } = {}) {
    const { name, size, lastModified } = file;
    const one = { id, name, size, lastModified, at: Date.now(), token, checksums };
    try {
      this.#storage?.setItem(this.#prefix + fingerprint(file), JSON.stringify(one));
    } catch { /* full, or forbidden: the upload cannot be resumed, and goes on */ }
  }

  /** @param {string} id */
  forget(id) {
    for (const [key, one] of this.#entries()) if (one.id === id) this.#storage.removeItem(key);
  }

  /** @returns {Remembered[]} the latest first */
  all() { return this.#entries().map(([, one]) => one).sort((a, b) => b.at - a.at); }

  #entries() {
    const entries = [];
    for (let i = 0; i < (this.#storage?.length ?? 0); i++) {
      const key = this.#storage.key(i);
      const one = key.startsWith(this.#prefix) && this.#read(key);
      if (one) entries.push([key, one]);
    }
    return entries;
  }

  #read(key) {
    try {
      const one = JSON.parse(this.#storage?.getItem(key) ?? 'null');
      return one && Date.now() - one.at < lifetime ? one : undefined;
    } catch {
      return undefined;
    }
  }
}

/** The browser's own memory, or null where there is none or it is forbidden. @returns {Storage | null} */
export function localMemory() {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}

const held = new Set(); // where there are no locks: by this page

/**
 * Takes the first of the names that nobody holds, in any tab where the browser has locks.
 * @param {...string} names
 * @returns {Promise<(() => void) | undefined>} what gives it back
 */
export async function hold(...names) {
  for (const name of names) {
    const release = await (globalThis.navigator?.locks ? lock(prefix + name) : take(name));
    if (release) return release;
  }
  return undefined;
}

function lock(name) {
  return new Promise((resolve, reject) => {
    navigator.locks.request(name, { ifAvailable: true }, (granted) => {
      if (!granted) return resolve(undefined);
      return new Promise((release) => { resolve(release); });
    }).catch(reject);
  });
}

function take(name) {
  if (held.has(name)) return undefined;
  held.add(name);
  return () => held.delete(name);
}
