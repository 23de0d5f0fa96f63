/**
 * Files from wherever a person takes them: dropped, with whole folders, pasted or chosen.
 * @module
 */

/**
 * @typedef {object} Gathered
 * @property {File} file
 * @property {Promise<FileSystemFileHandle | undefined>} [handle] finds the file again after a reload, where the browser has
 *   such; the file does not wait for it, which can take the browser long
 */

const clutter = /^\.|^(thumbs\.db|desktop\.ini)$/i; // what systems leave in folders

/** @param {DataTransfer} transfer @returns {Promise<Gathered[]>} */
export async function dropped(transfer) {
  // The transfer is empty after the first wait: all of it has to be taken now.
  const taken = Array.from(transfer.items).filter(({ kind }) => kind === 'file').map((item) => ({
    entry: item.webkitGetAsEntry?.(),
    handle: item.getAsFileSystemHandle?.().catch(() => undefined),
    file: item.getAsFile(),
  }));
  const all = await Promise.all(taken.map(async ({ entry, handle, file }) => {
    if (entry?.isDirectory) return inFolder(entry);
    return file ? [{ file, handle }] : [];
  }));
  return all.flat();
}

/** @param {FileList | File[]} files @returns {Gathered[]} */
export function chosen(files) {
  return Array.from(files)
    .filter(({ name, webkitRelativePath }) => !webkitRelativePath || !clutter.test(name))
    .map((file) => ({ file }));
}

/** @param {FileSystemDirectoryEntry} folder @returns {Promise<Gathered[]>} in the order of their names */
async function inFolder(folder) {
  const reader = folder.createReader();
  const entries = [];
  for (let some; (some = await read(reader)).length > 0;) entries.push(...some); // at most 100 at once
  entries.sort((a, b) => a.name.localeCompare(b.name));
  const found = [];
  for (const entry of entries) {
    if (clutter.test(entry.name)) continue;
    if (entry.isDirectory) found.push(...await inFolder(entry));
    else found.push({ file: await new Promise((resolve, reject) => { entry.file(resolve, reject); }) });
  }
  return found;
}

const read = (reader) => new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
