/**
 * What can go wrong, as the client tells it. An AbortSignal that fires is no error of ours: its own reason is thrown.
 * @module
 */

/** An answer of the API that was not a success, or none at all. */
export class SluiceError extends Error {
  /**
   * @param {string} message for people
   * @param {object} facts
   * @param {string} facts.code the problem's code, or one of the client's own: network, storage_refused,
   *   file_changed, unreadable_answer, no_checksums
   * @param {number} [facts.status] of HTTP; 0 when there was no answer
   * @param {object[]} [facts.errors] what is wrong with the request, part by part
   * @param {string} [facts.requestId] to name when asking for help
   * @param {number} [facts.retryAfter] milliseconds
   * @param {boolean} [facts.temporary] whether the same request may well succeed later
   * @param {unknown} [facts.cause]
   */
  constructor(message, { code, status = 0, errors = [], requestId = '', retryAfter, temporary, cause }) {
    super(message, { cause });
    this.name = 'SluiceError';
    this.code = code;
    this.status = status;
    this.errors = errors;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
    this.temporary = temporary ?? (code === 'network' || code === 'idempotency_key_in_flight' || isTemporary(status));
  }
}

/** An upload that has its outcome, which is not `ready`. Its code is the reason's, or else the state. */
export class UploadRefused extends SluiceError {
  /** @param {import('../client.js').Upload} upload */
  constructor(upload) {
    const reason = upload.reason ?? { code: upload.state };
    super(reason.detail || `the upload is ${upload.state}`, { code: reason.code });
    this.name = 'UploadRefused';
    this.upload = upload;
  }
}

/** Statuses after which it is worth trying again. @param {number} status */
export const isTemporary = (status) => status === 408 || status === 429 || status >= 500;

/**
 * Makes an error of a response of the API that is not a success.
 * @param {Response} response
 */
export async function problemOf(response) {
  let problem = {};
  try {
    problem = JSON.parse(await response.text()) ?? {};
  } catch { /* a proxy's page, say: the status has to do */ }
  return new SluiceError(problem.detail || problem.title || `HTTP status ${response.status}`, {
    code: problem.code || `http_${response.status}`,
    status: response.status,
    errors: problem.errors,
    requestId: problem.request_id,
    retryAfter: retryAfter(response.headers.get('Retry-After')),
  });
}

/**
 * Reads a Retry-After header, seconds or a date (RFC 9110, 10.2.3).
 * @param {string | null} value
 * @param {number} [now] milliseconds since the epoch
 * @returns {number | undefined} milliseconds
 */
export function retryAfter(value, now = Date.now()) {
  if (!value) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
