/**
 * What the page says, in plain words. Everything here is a function of its arguments.
 * @module
 */

/** Why an upload did not become ready, by the code of its reason. */
const reasons = {
  empty_file: 'The file is empty.',
  too_large: 'The file is larger than is accepted here.',
  size_mismatch: 'What arrived is not as long as the file was said to be. It may have changed while it was sent.',
  type_mismatch: 'The content is not what the file’s name says it is.',
  type_not_allowed: 'Files of this kind are not accepted here.',
  checksum_mismatch: 'What arrived is not what was sent. Please send it again.',
  undecodable: 'The file is damaged or incomplete: it cannot be opened.',
  too_many_pixels: 'The picture has more pixels than can be processed.',
  malware: 'Malware was found in this file. It was not published.',
  scan_limit: 'The file is too large to be scanned, so it was not published.',
  scan_encrypted: 'The file is encrypted and cannot be scanned, so it was not published.',
  scan_error: 'The file could not be scanned, so it was not published.',
  object_gone: 'The file disappeared from storage before it was processed. Please send it again.',
  attempts_exhausted: 'Processing failed several times, through no fault of the file. Please send it again later.',
  never_uploaded: 'The file never arrived, and the time for it is over.',
  client_aborted: 'You cancelled this upload.',
  client_deleted: 'You deleted this file.',
  operator_aborted: 'An operator stopped this upload.',
};

/** What an outcome means where its reason says no more. */
const outcomes = {
  ready: 'Ready',
  rejected: 'The file was refused.',
  infected: reasons.malware,
  unscannable: reasons.scan_error,
  failed: 'Processing failed.',
  expired: reasons.never_uploaded,
  aborted: 'Cancelled.',
  deleted: 'Deleted.',
};

/** What an upload waits for, by its state. */
const waits = {
  initiated: 'Waiting for the file…',
  uploaded: 'Arrived. Checking what it is…',
  verified: 'Checked. Scanning it for malware…',
  clean: 'Clean. Making smaller versions…',
  processed: 'Prepared. Publishing it…',
};

/** What went wrong with a call, by the code of the error. */
const failures = {
  ...reasons,
  network: 'The connection was lost. Check it, and try again.',
  storage_refused: 'Storage did not take the file.',
  other_file: 'That was another file, or it has changed. Choose the one that was interrupted.',
  file_changed: 'The file was changed, moved or removed while it was sent. Choose it again.',
  invalid_request: 'The server does not accept this file’s name or size.',
  too_large: reasons.too_large,
  quota_exceeded: 'There is no room left for this file.',
  too_many_in_flight: 'Too many uploads are under way. Try again when some have finished.',
  rate_limited: 'That was too much at once. Try again in a moment.',
  not_uploaded: 'The file has not arrived in storage. Try again.',
  not_found: 'This upload no longer exists.',
  upload_settled: 'This upload has ended already.',
  parts_missing: 'Some of the file did not arrive. Try again.',
  part_size_mismatch: 'Some of the file did not arrive whole. Try again.',
  part_etag_mismatch: 'Some of what arrived is not what was sent. Try again.',
  cross_origin: 'This page may not do that. Open it by the server’s own address.',
  token_missing: 'Your session has ended. Sign in again.',
  token_expired: 'The token has expired. Ask for a new one.',
  token_invalid: 'This token is not valid.',
  token_not_yet_valid: 'This token is not valid yet.',
  unavailable: 'The server is not able to do this now. Try again in a moment.',
  internal: 'Something went wrong on the server. Try again in a moment.',
  unreadable_answer: 'The server’s answer could not be understood. Try again in a moment.',
};

/** @param {{ state: string, reason?: { code: string } }} upload @returns {string} one or more sentences */
export function fate({ state, reason }) {
  return reasons[reason?.code] ?? outcomes[state] ?? waits[state] ?? state;
}

/** @param {{ code?: string, status?: number, message: string }} error @returns {string} one or more sentences */
export function failure({ code, status, message }) {
  if (failures[code]) return failures[code];
  if (status >= 500) return failures.unavailable;
  return `Something went wrong: ${message}`;
}

const units = ['bytes', 'KB', 'MB', 'GB', 'TB'];

/** @param {number} bytes @returns {string} with at most three digits that count, as storage is sold: 1 KB is 1000 bytes */
export function size(bytes) {
  let unit = 0;
  let amount = bytes;
  while (amount >= 999.5 && unit < units.length - 1) {
    amount /= 1000;
    unit++;
  }
  if (unit === 0) return bytes === 1 ? '1 byte' : `${bytes} bytes`;
  return `${amount.toFixed(amount < 9.95 ? 1 : 0)} ${units[unit]}`;
}

/** @param {number} seconds @returns {string} roughly how long that is */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return '';
  if (seconds < 10) return 'a few seconds';
  if (seconds < 55) return `about ${Math.round(seconds / 10) * 10} seconds`;
  if (seconds < 90) return 'about a minute';
  if (seconds < 55 * 60) return `about ${Math.round(seconds / 60)} minutes`;
  const hours = Math.round(seconds / 3600);
  return hours === 1 ? 'about an hour' : `about ${hours} hours`;
}

/** @param {number} n @param {string} one @param {string} [many] */
export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/**
 * @param {string} time in RFC 3339
 * @param {Date} [now]
 * @returns {string} the time of today, or the day
 */
export function moment(time, now = new Date()) {
  const then = new Date(time);
  if (then.toDateString() === now.toDateString()) {
    return then.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
  }
  const year = then.getFullYear() === now.getFullYear() ? undefined : 'numeric';
  return then.toLocaleDateString(undefined, { day: 'numeric', month: 'short', year });
}
