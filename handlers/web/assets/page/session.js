/**
 * Signing in and out. The page itself never keeps the token: it becomes a cookie that scripts cannot read.
 * @module
 */
import { byId } from './dom.js';
import { failure } from './words.js';

export class Session {
  #client;
  #entered;

  /**
   * @param {import('../client.js').SluiceClient} client
   * @param {() => Promise<boolean>} entered shows what is inside; false when the caller is not let in
   */
  constructor(client, entered) {
    this.#client = client;
    this.#entered = entered;
    byId('sign-in').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#signIn(byId('token').value.trim());
    });
    byId('sign-out').addEventListener('click', () => this.#signOut());
    addEventListener('hashchange', () => this.begin());
  }

  /** Lets the caller in by the token in the address, if there is one, or else by the cookie. */
  async begin() {
    const token = takeToken();
    if (token) return this.#signIn(token);
    return this.#enter('');
  }

  /** Shows the door. @param {string} words why */
  end(words) {
    byId('inside').hidden = true;
    byId('sign-out').hidden = true;
    byId('signing-in').hidden = false;
    byId('sign-in-error').textContent = words;
    byId('token').focus();
  }

  async #signIn(token) {
    try {
      await this.#client.signIn(token);
    } catch (error) {
      this.end(failure(error));
      return;
    }
    byId('token').value = '';
    await this.#enter('The browser did not keep the session. Allow cookies for this page.');
  }

  async #enter(otherwise) {
    if (!await this.#entered()) {
      this.end(otherwise);
      return;
    }
    byId('signing-in').hidden = true;
    byId('inside').hidden = false;
    byId('sign-out').hidden = false;
  }

  async #signOut() {
    await this.#client.signOut().catch(() => { /* it may have ended already */ });
    location.assign('/');
  }
}

/** The token in the address, #token=…, which is wiped at once: addresses are kept, shown and copied. */
function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token) history.replaceState(null, '', location.pathname);
  return token;
}
