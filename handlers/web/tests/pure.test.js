import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EventParser } from '../assets/client/events.js';
import { problemOf, retryAfter, SluiceError } from '../assets/client/errors.js';
import { fingerprint, hold, Memory } from '../assets/client/memory.js';
import { missing, span } from '../assets/client/parts.js';
import { attempts, backoff, follow, pause, persist } from '../assets/client/patience.js';
import { sha256 } from '../assets/client/storage.js';
import { dropped } from '../assets/page/gather.js';
import { MemoryStorage } from './server.js';

test('Retry-After is seconds or a date', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  assert.equal(retryAfter('7', now), 7000);
  assert.equal(retryAfter('Thu, 01 Jan 2026 00:00:30 GMT', now), 30_000);
  assert.equal(retryAfter('Thu, 01 Jan 2025 00:00:30 GMT', now), 0);
  for (const nothing of [null, '', 'soon']) assert.equal(retryAfter(nothing, now), undefined);
});

test('a file that is dropped does not wait for its handle', async () => {
  const file = new File(['x'], 'photo.jpg');
  const handle = new Promise(() => { /* the browser takes its time */ });
  const item = { kind: 'file', getAsFile: () => file, webkitGetAsEntry: () => ({ isDirectory: false }), getAsFileSystemHandle: () => handle };
  const gathered = await dropped({ items: [item, { kind: 'string' }] });
  assert.deepEqual(gathered.map((found) => found.file), [file]);
});

test('errors carry the problem', async () => {
  const body = { title: 'Too Many Requests', status: 429, code: 'rate_limited', detail: 'Slower.', request_id: 'r1', errors: [{ location: 'body.size' }] };
  const error = await problemOf(new Response(JSON.stringify(body), { status: 429, headers: { 'Retry-After': '2' } }));
  assert.ok(error instanceof SluiceError);
  const { message, code, status, requestId, errors, temporary } = error;
  assert.deepEqual({ message, code, status, requestId, errors, temporary, after: error.retryAfter },
    { message: 'Slower.', code: 'rate_limited', status: 429, requestId: 'r1', errors: body.errors, temporary: true, after: 2000 });

  for (const page of ['<html>', '', 'null', '[]']) {
    const { code, temporary } = await problemOf(new Response(page, { status: 404 }));
    assert.deepEqual({ code, temporary }, { code: 'http_404', temporary: false });
  }
});

test('the pause grows, is bounded, and honours what was asked', () => {
  assert.equal(backoff(1, 0, () => 0), 200);
  assert.equal(backoff(1, 0, () => 1), 400);
  assert.equal(backoff(3, 0, () => 1), 1600);
  assert.equal(backoff(50, 0, () => 1), 20_000);
  assert.ok(backoff(1, 5000, () => 0) >= 5000);
});

test('persist tries again what is temporary, and nothing else', async () => {
  const failing = (facts, times) => {
    let made = 0;
    return {
      task: async () => {
        if (made++ < times) throw new SluiceError('no', facts);
        return made;
      },
      get made() { return made; },
    };
  };
  const passing = failing({ code: 'network' }, 1);
  assert.equal(await persist(passing.task), 2);

  const final = failing({ code: 'invalid_request', status: 422 }, 1);
  await assert.rejects(persist(final.task), { code: 'invalid_request' });
  assert.equal(final.made, 1);

  const bug = new TypeError('a mistake of ours');
  await assert.rejects(persist(async () => { throw bug; }), bug);
});

test('persist gives up', async (t) => {
  const { setTimeout } = globalThis;
  t.after(() => { globalThis.setTimeout = setTimeout; });
  globalThis.setTimeout = (task) => setTimeout(task, 0);
  let tries = 0;
  await assert.rejects(persist(async () => {
    tries++;
    throw new SluiceError('no', { code: 'unavailable', status: 503 });
  }), { code: 'unavailable' });
  assert.equal(tries, attempts);
});

test('an aborted signal ends every wait with its own reason', async () => {
  const stop = new AbortController();
  const waiting = pause(60_000, stop.signal);
  const trying = persist(async () => { throw new SluiceError('no', { code: 'network', retryAfter: 60_000 }); }, stop.signal);
  stop.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  await assert.rejects(trying, /enough/);
  await assert.rejects(pause(1, stop.signal), /enough/);

  const first = new AbortController();
  const followed = follow(undefined, first.signal);
  first.abort(new Error('first'));
  assert.equal(followed.signal.reason.message, 'first');
  assert.ok(follow(first.signal).signal.aborted);
});

test('events are the same however they are cut', () => {
  const text = ': hello\n\nevent: upload\nid: 3\ndata: {"a":1}\n\ndata: one\r\ndata:two\r\n\r\nid: 4\n\nevent: upload\rdata: ü\r\rretry: 9\n';
  const want = [
    { type: 'upload', data: '{"a":1}', id: '3' },
    { type: 'message', data: 'one\ntwo', id: '3' },
    { type: 'upload', data: 'ü', id: '4' },
  ];
  for (let step = 1; step <= text.length; step++) {
    const parser = new EventParser();
    const events = [];
    for (let i = 0; i < text.length; i += step) events.push(...parser.feed(text.slice(i, i + step)));
    assert.deepEqual(events, want, `in pieces of ${step}`);
  }
});

test('the parts of a file cover it exactly', () => {
  for (const [size, partSize] of [[1, 5], [5, 5], [6, 5], [23, 5], [25, 5]]) {
    let covered = 0;
    for (let number = 1; number <= Math.ceil(size / partSize); number++) {
      const { offset, size: length } = span(number, partSize, size);
      assert.equal(offset, covered);
      assert.ok(length > 0 && length <= partSize);
      covered += length;
    }
    assert.equal(covered, size);
  }
});

test('only what storage has whole is left out', () => {
  const listing = (parts) => ({ part_size: 5, part_count: 3, parts });
  assert.deepEqual(missing(listing([]), 12), [1, 2, 3]);
  assert.deepEqual(missing(listing([{ number: 2, size: 5 }]), 12), [1, 3]);
  assert.deepEqual(missing(listing([{ number: 3, size: 2 }, { number: 1, size: 4 }]), 12), [1, 2]);
  assert.deepEqual(missing(listing([1, 2, 3].map((number) => ({ number, size: number === 3 ? 2 : 5 }))), 12), []);
});

test('memory keeps uploads by file and API, for a week', () => {
  const storage = new MemoryStorage();
  const here = new Memory(storage, 'https://here');
  const there = new Memory(storage, 'https://there');
  const photo = { name: 'a.jpg', size: 3, lastModified: 1 };
  here.remember(photo, 'one', { token: 'secret', checksums: true });
  assert.equal(here.recall(photo).id, 'one');
  assert.equal(here.recall(photo).token, 'secret');
  assert.equal(here.recall(photo).checksums, true);
  assert.equal(there.recall(photo), undefined);
  for (const other of [{ name: 'b.jpg' }, { size: 4 }, { lastModified: 2 }]) {
    assert.notEqual(fingerprint({ ...photo, ...other }), fingerprint(photo));
    assert.equal(here.recall({ ...photo, ...other }), undefined);
  }
  here.remember({ ...photo, name: 'b.jpg' }, 'two');
  here.forget('one');
  assert.deepEqual(here.all().map(({ id }) => id), ['two']);

  const key = storage.key(0);
  const old = { ...JSON.parse(storage.getItem(key)), at: Date.now() - 8 * 24 * 3600 * 1000 };
  storage.setItem(key, JSON.stringify(old));
  assert.deepEqual(here.all(), []);
});

test('a memory that is broken, full or missing only forgets', () => {
  const broken = { length: 1, key: () => 'sluice::3-1-a.jpg', getItem: () => '{', setItem: () => { throw new Error('full'); }, removeItem() {} };
  for (const storage of [broken, null]) {
    const memory = new Memory(storage, '');
    const photo = { name: 'a.jpg', size: 3, lastModified: 1 };
    memory.remember(photo, 'one');
    assert.equal(memory.recall(photo), undefined);
    assert.deepEqual(memory.all(), []);
    memory.forget('one');
  }
});

test('a name is held once', async () => {
  const first = await hold('a');
  assert.equal(await hold('a'), undefined);
  const second = await hold('a', 'b');
  assert.equal(await hold('a', 'b'), undefined);
  first();
  assert.ok(await hold('a'));
  second();
});

test('checksums are hexadecimal', async () => {
  assert.equal(await sha256(new Blob(['abc'])), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});
