/**
 * The page: puts its parts together.
 * @module
 */
import { SluiceClient } from '../client.js';
import { announce, ask, byId } from './dom.js';
import { chosen, dropped } from './gather.js';
import { fileOf } from './handles.js';
import { stillOpen } from './interrupted.js';
import { List } from './list.js';
import { Queue } from './queue.js';
import { Session } from './session.js';
import { Total } from './total.js';
import { view } from './view.js';
import { count } from './words.js';

const client = new SluiceClient();
const total = new Total();
const spoken = new Map(); // by item: the outcome that was announced
let awaited; // the item whose file is being chosen again

const queue = new Queue(client, {
  change(item) {
    list.update(item);
    total.show(queue.total, queue.busy);
    speak(item);
  },
  remove(item) {
    list.remove(item);
    total.show(queue.total, queue.busy);
  },
  signedOut,
});

const list = new List(client, {
  act: (action, item) => actions[action](item),
  arrived: (item) => queue.follow(item),
  signedOut,
});

const session = new Session(client, async () => {
  const inside = await list.show();
  if (inside) findInterrupted();
  return inside;
});

const actions = {
  again: (item) => queue.retry(item),
  dismiss: (item) => queue.dismiss(item),
  cancel: (item) => queue.delete(item),

  async delete(item) {
    const { name } = view(item);
    const sure = item.phase !== 'begun' || item.upload.state !== 'ready' || await ask({
      title: 'Delete this file?', words: `${name} will be removed everywhere, and its links will stop working.`, yes: 'Delete it',
    });
    if (!sure) return;
    await queue.delete(item);
    if (item.phase !== 'begun') return;
    announce(`${name}: ${view(item).words}`);
    list.remove(item);
  },

  async continue(item) {
    const file = await fileOf(item.upload.id, { ask: true });
    if (file) return resume(item, file);
    awaited = item;
    return byId('again').click();
  },
};

/** Sends files that a person has just given. @param {import('./gather.js').Gathered[]} gathered */
function send(gathered) {
  if (gathered.length === 0) return;
  const items = gathered.map(({ file, handle }) => ({ phase: 'waiting', file, handle, live: true }));
  announce(`${count(items.length, 'file')} added`);
  list.add(...items);
  queue.add(...items);
}

/** Shows uploads that an earlier visit left unfinished, and goes on with those whose files can still be read. */
async function findInterrupted() {
  for (const { id, lastModified } of await client.interrupted()) {
    if (list.find(id)?.live) continue;
    const upload = await stillOpen(client, id);
    if (!upload) continue;
    const item = list.find(id) ?? { upload };
    Object.assign(item, { phase: 'interrupted', lastModified });
    list.promote(item);
    const file = await fileOf(id);
    if (file) resume(item, file);
  }
}

/** Goes on with an interrupted upload, if the file is the same. */
function resume(item, file) {
  const { filename, size } = item.upload;
  if (file.name !== filename || file.size !== size || file.lastModified !== item.lastModified) {
    item.error = { code: 'other_file' };
    list.update(item);
    announce(view(item).words);
    return;
  }
  item.file = file;
  queue.add(item);
}

/** Tells listeners what became of an item of this visit. */
function speak(item) {
  const { tone, words, name } = view(item);
  if (!item.live || tone === 'calm' || spoken.get(item) === words) return;
  spoken.set(item, words);
  announce(`${name}: ${words}`);
}

function signedOut() { session.end('Your session has ended. Sign in again.'); }

function inside() { return !byId('inside').hidden; }

const pick = (input) => () => byId(input).click();
byId('choose-files').addEventListener('click', pick('files'));
byId('choose-folder').addEventListener('click', pick('folder'));
for (const id of ['files', 'folder']) {
  byId(id).addEventListener('change', ({ target }) => {
    send(chosen(target.files));
    target.value = ''; // or else the same file could not be chosen twice
  });
}
byId('again').addEventListener('change', ({ target }) => {
  const [file] = target.files;
  target.value = '';
  if (file && awaited) resume(awaited, file);
});

let depth = 0; // of elements that something is being dragged over
const carriesFiles = ({ dataTransfer }) => inside() && dataTransfer?.types.includes('Files');
function hover(over) { byId('basin').classList.toggle('open', over); }
addEventListener('dragenter', (event) => {
  if (carriesFiles(event)) hover(++depth > 0);
});
addEventListener('dragleave', (event) => {
  if (carriesFiles(event)) hover(--depth > 0);
});
addEventListener('dragover', (event) => {
  event.preventDefault(); // or else the browser opens what is dropped
  if (!carriesFiles(event)) event.dataTransfer.dropEffect = 'none';
});
addEventListener('drop', async (event) => {
  event.preventDefault();
  depth = 0;
  hover(false);
  if (carriesFiles(event)) send(await dropped(event.dataTransfer));
});
addEventListener('paste', ({ clipboardData }) => {
  if (inside()) send(chosen(clipboardData?.files ?? []));
});
addEventListener('beforeunload', (event) => {
  if (queue.busy) event.preventDefault();
});

session.begin();
