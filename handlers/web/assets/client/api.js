/**
 * The calls of the upload API, each made until it is answered.
 * @module
 */
import { problemOf, SluiceError } from './errors.js';
import { persist } from './patience.js';

/** @typedef {{ method?: string, body?: object, headers?: object, signal?: AbortSignal, token?: string }} Call */

export class API {
  #base;
  #token;
  #fetch;
  #capabilities = new Map(); // by upload

  /** @param {import('../client.js').ClientOptions} options */
  constructor({ baseUrl = '', token, fetch = globalThis.fetch }) {
    this.#base = baseUrl.replace(/\/+$/, '');
    this.#token = token;
    this.#fetch = (...args) => fetch(...args); // as a function, not as a method of this
  }

  /** Names the API, for what is kept in one place about several. */
  get base() { return this.#base; }

  begin(declaration, signal) {
    // A lost answer must not begin a second upload when the call is made again.
    const headers = { 'Idempotency-Key': randomName() };
    return this.call('/v1/uploads', { method: 'POST', body: declaration, headers, signal });
  }

  /** Uses an upload's own token for its calls, unless another one is given. */
  entrust(id, token) { this.#capabilities.set(id, token); }

  show(id, call) { return this.of(id, '', call); }

  delete(id, call) { return this.of(id, '', { ...call, method: 'DELETE' }); }

  parts(id, call) { return this.of(id, '/parts', call); }

  signParts(id, parts, call) { return this.of(id, '/parts', { ...call, method: 'POST', body: { parts } }); }

  complete(id, parts, call) { return this.of(id, '/complete', { ...call, method: 'POST', body: parts && { parts } }); }

  list({ state = [], limit, cursor, signal } = {}) {
    const query = new URLSearchParams([state].flat().map((one) => ['state', one]));
    if (limit) query.set('limit', limit);
    if (cursor) query.set('cursor', cursor);
    return this.call(`/v1/uploads?${query}`, { signal });
  }

  /** Makes a call about one upload. @param {string} id @param {string} rest of the path @param {Call} [call] */
  of(id, rest, call) { return this.call(path(id) + rest, this.#trusted(id, call)); }

  /** The same, once. */
  onceOf(id, rest, call) { return this.once(path(id) + rest, this.#trusted(id, call)); }

  #trusted(id, call = {}) { return { ...call, token: call.token ?? this.#capabilities.get(id) }; }

  /**
   * Makes a call and returns the body of its answer.
   * @param {string} path
   * @param {Call} [call]
   */
  call(path, call = {}) {
    return persist(async () => {
      const response = await this.once(path, call);
      if (!response.ok) throw await problemOf(response);
      if (response.status === 204) return undefined;
      return readJSON(response);
    }, call.signal);
  }

  /**
   * Makes a call a single time and returns its response, whatever it is.
   * @param {string} path
   * @param {Call} [call]
   * @returns {Promise<Response>}
   */
  async once(path, { method = 'GET', body, headers = {}, signal, token } = {}) {
    const credential = token ?? await tokenOf(this.#token);
    const request = {
      method, signal, cache: 'no-store', credentials: 'same-origin',
      headers: {
        ...(body && { 'Content-Type': 'application/json' }),
        ...(credential && { Authorization: `Bearer ${credential}` }),
        ...headers,
      },
      body: body && JSON.stringify(body),
    };
    try {
      return await this.#fetch(this.#base + path, request);
    } catch (cause) {
      signal?.throwIfAborted();
      throw new SluiceError('the upload API does not answer', { code: 'network', cause });
    }
  }
}

/** @param {Response} response */
export async function readJSON(response) {
  try {
    return await response.json();
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw new SluiceError('the answer of the upload API broke off', { code: 'network', cause });
    throw new SluiceError('the answer of the upload API cannot be read', {
      code: 'unreadable_answer', status: response.status, cause,
    });
  }
}

const path = (id) => `/v1/uploads/${encodeURIComponent(id)}`;

/** @param {undefined | string | (() => string | Promise<string>)} token */
const tokenOf = async (token) => (typeof token === 'function' ? token() : token);

/** 128 random bits. (crypto.randomUUID is for pages served over TLS only.) */
function randomName() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
