/**
 * How long to wait, and for what, before something is tried again.
 * @module
 */

/** How often a request is made before its failure is told. */
export const attempts = 7;

const shortest = 400; // milliseconds
const longest = 20_000;

/**
 * The pause before the next try: it doubles, is spread at random so that clients do not come back all at once, and is
 * never shorter than what the server asked for.
 * @param {number} tries made so far, from 1
 * @param {number} [asked] milliseconds
 * @param {() => number} [random] from 0 to 1
 * @returns {number} milliseconds
 */
export function backoff(tries, asked = 0, random = Math.random) {
  const ceiling = Math.min(longest, shortest * 2 ** (tries - 1));
  return asked + ceiling / 2 + random() * ceiling / 2;
}

/**
 * Waits, or throws the signal's reason as soon as that is aborted.
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/**
 * Runs a task until it succeeds, its error is not a temporary one, or its tries are used up. While the browser knows
 * that it is offline no try is made at all.
 * @template T
 * @param {(tries: number) => Promise<T>} task
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export async function persist(task, signal) {
  for (let tries = 1; ; tries++) {
    signal?.throwIfAborted();
    await online(signal);
    try {
      return await task(tries);
    } catch (error) {
      signal?.throwIfAborted();
      if (!error.temporary || tries >= attempts) throw error;
      await pause(backoff(tries, error.retryAfter), signal);
    }
  }
}

/** Waits while the browser is offline. @param {AbortSignal} [signal] */
async function online(signal) {
  while (globalThis.navigator?.onLine === false) await pause(1000, signal);
}

/**
 * A signal that fires with any of the given ones. (AbortSignal.any is younger than the browsers that this is for.)
 * @param {...(AbortSignal | undefined)} signals
 * @returns {AbortController}
 */
export function follow(...signals) {
  const controller = new AbortController();
  for (const signal of signals) {
    if (!signal) continue;
    if (signal.aborted) controller.abort(signal.reason);
    signal.addEventListener('abort', () => controller.abort(signal.reason), { once: true, signal: controller.signal });
  }
  return controller;
}
