import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { filters, reaches, symbol, thumbnail, view } from '../assets/page/view.js';
import { count, duration, failure, fate, moment, size } from '../assets/page/words.js';

const upload = (over) => ({ id: 'x', filename: 'a.jpg', state: 'ready', variants: [], ...over });
const begun = (over) => view({ phase: 'begun', upload: upload(over) });
const source = (path) => readFile(new URL(`../../../${path}`, import.meta.url), 'utf8');

test('every state is in the filters, and every state and reason has its words', async () => {
  const states = [...(await source('sagas/state.go')).matchAll(/^\t\w+ +State = "(\w+)"/gm)].map(([, state]) => state);
  const reasons = [...(await source('sagas/reason.go')).matchAll(/^\t\w+ +Code = "(\w+)"/gm)].map(([, code]) => code);
  assert.ok(states.length >= 13 && reasons.length >= 16);

  const shown = new Set(Object.values(filters).flatMap((filter) => filter.states));
  assert.deepEqual([...shown].sort(), states.sort());
  for (const state of states) assert.match(fate({ state }), /[A-Z]\w/, state);
  for (const code of reasons) assert.match(fate({ state: 'failed', reason: { code } }), /^(?!Processing failed\.$)[A-Z].*\.$/, code);
});

test('words for what is unknown', () => {
  assert.equal(fate({ state: 'rejected', reason: { code: 'new' } }), 'The file was refused.');
  assert.equal(failure({ code: 'http_502', status: 502, message: 'HTTP status 502' }), failure({ code: 'unavailable', message: '' }));
  assert.match(failure({ code: 'teapot', status: 418, message: 'short and stout' }), /short and stout/);
});

test('sizes', () => {
  for (const [bytes, words] of [[0, '0 bytes'], [1, '1 byte'], [999, '999 bytes'], [1000, '1.0 KB'], [9949, '9.9 KB'], [9950, '10 KB'], [999_499, '999 KB'], [999_500, '1.0 MB'], [5e9, '5.0 GB'], [5e15, '5000 TB']]) {
    assert.equal(size(bytes), words);
  }
});

test('durations, counts and moments', () => {
  assert.deepEqual([3, 42, 60, 600, 3600, 9000, Infinity].map(duration), ['a few seconds', 'about 40 seconds', 'about a minute', 'about 10 minutes', 'about an hour', 'about 3 hours', '']);
  assert.deepEqual([count(1, 'file'), count(2, 'file')], ['1 file', '2 files']);
  const now = new Date('2026-06-15T12:00:00');
  assert.match(moment('2026-06-15T09:05:00', now), /9:05|09:05/);
  assert.match(moment('2026-06-14T09:05:00', now), /14/);
  assert.match(moment('2024-06-14T09:05:00', now), /2024/);
});

test('the channel', () => {
  const file = { name: 'a.jpg', size: 200 };
  assert.deepEqual(view({ phase: 'sending', file, sent: 50 }), {
    name: 'a.jpg', words: 'Sending 25% · 50 bytes of 200 bytes', tone: 'calm', reached: 0, part: 0.25, shut: false, actions: ['cancel'],
  });
  assert.equal(view({ phase: 'sending', file, sent: 200 }).words, 'Sent. Waiting for storage…');
  assert.equal(begun({ state: 'clean' }).reached, 3);
  const ready = begun({});
  assert.deepEqual([ready.reached, ready.tone, ready.shut, ready.actions], [reaches.length, 'good', false, ['delete']]);

  const history = [{ to: 'initiated' }, { from: 'initiated', to: 'uploaded' }, { from: 'uploaded', to: 'verified' }, { from: 'verified', to: 'infected' }];
  const infected = begun({ state: 'infected', history });
  assert.deepEqual([infected.reached, infected.tone, infected.shut], [2, 'bad', true]);
  assert.equal(begun({ state: 'infected' }).reached, 2);
  assert.equal(begun({ state: 'rejected' }).reached, 1);
  assert.deepEqual([begun({ state: 'aborted' }).tone, begun({ state: 'deleted' }).actions], ['calm', []]);
  const failed = (code) => view({ phase: 'failed', file, error: { code, message: '' } });
  assert.deepEqual(failed('network').actions, ['again', 'dismiss']);
  assert.deepEqual(failed('empty_file').actions, ['dismiss'], 'what cannot help is not offered');
});

test('thumbnails and symbols', () => {
  const variants = [{ name: '800', width: 800, height: 600 }, { name: '200', width: 200, height: 150 }, { name: '1600', width: 1600, height: 1200 }];
  assert.equal(thumbnail(upload({ variants })).name, '200');
  assert.equal(thumbnail(upload({})), undefined);
  assert.deepEqual(['image/png', 'video/mp4', 'application/pdf', ''].map(symbol), ['image', 'video', 'file', 'file']);
});
