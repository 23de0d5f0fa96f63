/**
 * Sends bytes to object storage as a presigned request says.
 * @module
 */
import { isTemporary, SluiceError } from './errors.js';

const stalled = 45_000; // milliseconds without a byte moving after which a connection is taken for dead
const digesting = 150_000; // milliseconds that storage may take over what it has been sent

/**
 * @typedef {object} Sending
 * @property {string} method
 * @property {string} url
 * @property {Record<string, string>} [headers]
 * @property {Blob | FormData} body
 * @property {(sent: number) => void} [onProgress] bytes
 * @property {AbortSignal} [signal]
 */

/**
 * @typedef {object} Answer
 * @property {number} status of HTTP
 * @property {string | null} etag null where CORS does not expose it
 * @property {string} body
 */

/**
 * Makes the request a single time. Where there is XMLHttpRequest it tells its progress, which fetch cannot.
 * @param {Sending} sending
 * @returns {Promise<Answer>}
 */
export function send(sending) {
  sending.signal?.throwIfAborted();
  return globalThis.XMLHttpRequest ? sendByXHR(sending) : sendByFetch(sending);
}

function sendByXHR({ method, url, headers = {}, body, onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    const stop = () => xhr.abort();
    let watchdog;
    const alive = (patience) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => xhr.abort(), patience);
    };
    xhr.upload.onprogress = ({ loaded }) => {
      alive(stalled);
      onProgress?.(loaded);
    };
    xhr.upload.onload = () => alive(digesting);
    xhr.onload = () => resolve({ status: xhr.status, etag: xhr.getResponseHeader('ETag'), body: xhr.responseText });
    xhr.onerror = () => reject(noAnswer());
    xhr.onabort = () => reject(signal?.aborted ? signal.reason : noAnswer());
    xhr.onloadend = () => {
      clearTimeout(watchdog);
      signal?.removeEventListener('abort', stop);
    };
    signal?.addEventListener('abort', stop, { once: true });

    xhr.open(method, url);
    for (const [name, value] of Object.entries(sendable(headers))) xhr.setRequestHeader(name, value);
    alive(stalled);
    xhr.send(body);
  });
}

async function sendByFetch({ method, url, headers = {}, body, onProgress, signal }) {
  let answer;
  try {
    const response = await fetch(url, { method, headers: sendable(headers), body, signal });
    answer = { status: response.status, etag: response.headers.get('ETag'), body: await response.text() };
  } catch (cause) {
    signal?.throwIfAborted();
    throw noAnswer(cause);
  }
  if (body instanceof Blob) onProgress?.(body.size);
  return answer;
}

/** @param {Answer} answer */
export const isSuccess = ({ status }) => status >= 200 && status < 300;

/**
 * Makes an error of an answer that is not a success. It is temporary when the same request may well succeed later.
 * @param {string} what was sent
 * @param {Answer} answer
 */
export function refusal(what, { status, body }) {
  const slow = status === 400 && body.includes('<Code>RequestTimeout</Code>'); // S3 has waited too long for the next bytes
  const busy = status === 409; // another request for the same object is at work
  return new SluiceError(`object storage refused ${what} with status ${status}`, {
    code: 'storage_refused', status, temporary: slow || busy || isTemporary(status),
  });
}

/** Content-Length and Host are the browser's to set, and it complains when somebody else does. */
function sendable(headers) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !/^(content-length|host)$/i.test(name)));
}

const noAnswer = (cause) => new SluiceError('object storage does not answer', { code: 'network', cause });

/**
 * Makes a file's unreadability an error of its own: a browser shows it as a failure of the network.
 * @param {Blob} file
 */
export async function requireReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch (cause) {
    throw new SluiceError('the file was changed or removed while it was sent', { code: 'file_changed', cause });
  }
}

/**
 * @param {Blob} blob read into memory as a whole
 * @returns {Promise<string>} SHA-256 in hexadecimal digits
 */
export async function sha256(blob) {
  if (!globalThis.crypto?.subtle) {
    throw new SluiceError('browsers calculate checksums on pages served over TLS only', { code: 'no_checksums' });
  }
  const digest = await crypto.subtle.digest('SHA-256', await blob.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
