/**
 * Keeps handles of files by the upload that they belong to, where the browser has such, so that an interrupted upload
 * can go on without the file being chosen again.
 * @module
 */

const store = 'handles';

/** @param {string} id of the upload @param {Promise<FileSystemFileHandle | undefined>} [pending] its handle */
export async function keep(id, pending) {
  const handle = await pending;
  if (handle) await perform('readwrite', (handles) => handles.put(handle, id)).catch(() => { /* it is asked for again */ });
}

/** @param {string} id */
export async function drop(id) {
  await perform('readwrite', (handles) => handles.delete(id)).catch(() => { /* it was never there */ });
}

/**
 * The file of an upload, if the browser lets the page read it again.
 * @param {string} id
 * @param {{ ask?: boolean }} [options] whether to ask the person, which only works while a click is handled
 * @returns {Promise<File | undefined>}
 */
export async function fileOf(id, { ask = false } = {}) {
  try {
    const handle = await perform('readonly', (handles) => handles.get(id));
    if (!handle) return undefined;
    const read = { mode: 'read' };
    const permission = ask ? await handle.requestPermission(read) : await handle.queryPermission(read);
    return permission === 'granted' ? await handle.getFile() : undefined;
  } catch {
    return undefined; // moved, deleted, or no database in this window
  }
}

/** @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest} task */
async function perform(mode, task) {
  const database = await settle(Object.assign(indexedDB.open('sluice', 1), {
    onupgradeneeded: ({ target }) => target.result.createObjectStore(store),
  }));
  try {
    return await settle(task(database.transaction(store, mode).objectStore(store)));
  } finally {
    database.close();
  }
}

/** @param {IDBRequest} request */
const settle = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});
