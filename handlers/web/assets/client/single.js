/**
 * Sends a file by a single presigned request, a PUT or a form.
 * @module
 */
import { persist } from './patience.js';
import { isSuccess, refusal, requireReadable, send } from './storage.js';

/**
 * @param {object} permission as the API gave it: method, url, and headers or fields
 * @param {Blob} file
 * @param {{ onProgress: (sent: number) => void, signal?: AbortSignal }} options
 */
export async function sendWhole(permission, file, { onProgress, signal }) {
  await persist(async (tries) => {
    let answer;
    try {
      const report = (bytes) => onProgress(Math.min(bytes, file.size)); // a form is longer than its file
      answer = await send({ ...request(permission, file), onProgress: report, signal });
    } catch (error) {
      onProgress(0);
      if (error.code === 'network') await requireReadable(file);
      throw error;
    }
    if (!arrived(answer, tries)) throw refusal('the file', answer);
  }, signal);
}

function request({ method, url, headers, fields }, file) {
  if (!fields) return { method, url, headers, body: file };
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  form.set('file', file); // storage reads no field behind it
  return { method, url, body: form };
}

/** A second try may find that the first one arrived and only its answer was lost: the file is there once. */
function arrived(answer, tries) {
  return isSuccess(answer) || answer.status === 412 && tries > 1;
}
