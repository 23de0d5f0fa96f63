/**
 * Uploads that an earlier visit left unfinished.
 * @module
 */
import { drop } from './handles.js';

/**
 * Looks for an upload that was interrupted. One that takes no bytes any more is forgotten; one of which the API does not
 * tell now is kept for another visit.
 * @param {import('../client.js').SluiceClient} client
 * @param {string} id
 * @returns {Promise<import('../client.js').Upload | undefined>} the upload, if it still takes bytes
 */
export async function stillOpen(client, id) {
  try {
    const upload = await client.get(id);
    if (upload.state === 'initiated') return upload;
  } catch (error) {
    if (error.status !== 404) return undefined;
  }
  client.forget(id);
  await drop(id);
  return undefined;
}
