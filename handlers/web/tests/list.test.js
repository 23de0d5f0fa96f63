import assert from 'node:assert/strict';
import { test } from 'node:test';

import { List } from '../assets/page/list.js';
import { Queue } from '../assets/page/queue.js';
import { openDocument } from './document.js';

const upload = (id) => ({ id, state: 'uploaded', version: 2, filename: `${id}.jpg`, content_type: 'image/jpeg', size: 1, variants: [], created_at: '2026-01-01T00:00:00Z' });

test('what leaves the list is no longer followed', async (t) => {
  const document = openDocument(t);
  const followed = [];
  const client = {
    list: async () => ({ uploads: [upload('one'), upload('two')] }),
    watch: (id, { signal }) => new Promise((_, reject) => {
      followed.push(id);
      signal.addEventListener('abort', () => {
        followed.splice(followed.indexOf(id), 1);
        reject(signal.reason);
      });
    }),
  };
  const queue = new Queue(client, { change: (item) => list.update(item), remove() {}, signedOut: assert.fail });
  const list = new List(client, { act() {}, arrived: (item) => queue.follow(item), signedOut: assert.fail });
  await list.show();
  const own = list.find('two');
  list.promote(own);
  for (const filter of ['ready', 'underway', 'all']) {
    await list.show(filter);
    assert.deepEqual([...followed].sort(), ['one', 'two'], filter);
  }
  assert.equal(list.find('two'), own, 'items of this page stay');
  assert.equal(own.stop.signal.aborted, false);
  assert.equal(document.getElementById('uploads').children.length, 2);
});
