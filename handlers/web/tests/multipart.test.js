import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SluiceClient } from '../assets/client.js';
import { file, json, MemoryStorage, serve } from './server.js';

const id = '0199c1f2-0000-7000-8000-000000000002';
const initiated = { id, state: 'initiated', method: 'multipart', version: 1, filename: 'a.jpg', variants: [] };
const content = 'abcdefghijklmnopqrstuvw'; // 23 bytes: four parts of five, and one of three
const plan = { part_size: 5, part_count: 5 };

/**
 * An upload API and a storage for one upload in parts. `storage` may answer a part in its own way. As the API does, it
 * signs no part without its SHA-256 when the upload was begun with part_sha256, and none with it otherwise. While there
 * is `settle.completion`, the parts are gone, and it is what completing the upload answers.
 */
async function multipart(t, { storage = () => false, offered = 2, settle = {} } = {}) {
  const there = new Map(); // by number
  const signed = []; // numbers, in calls
  const sent = []; // numbers, as they came
  let signature = 0;
  let summed = false; // begun with part_sha256
  const permit = ({ number, sha256 }) => ({ number, url: `${server.url}/part/${number}?signature=${++signature}`, headers: sha256 ? { 'x-sum': sha256 } : {} });
  const server = await serve(t, (request, response) => {
    const { method, path, body } = request;
    if (path === '/v1/uploads') {
      settle.completion = undefined;
      summed = JSON.parse(body).part_sha256 === true;
      const parts = Array.from({ length: offered }, (_, i) => permit({ number: i + 1 }));
      return json(response, { ...initiated, upload: { method: 'PUT', ...plan, ...(!summed && { parts }) } }, 201);
    }
    const [, part] = /^\/part\/(\d+)/.exec(path) ?? [];
    if (part) {
      sent.push(Number(part));
      if (storage(Number(part), request, response)) return undefined;
      there.set(Number(part), body);
      return response.writeHead(200, { ETag: `"e${part}"` }).end();
    }
    if (path.endsWith('/parts') && settle.completion) return json(response, { code: 'upload_settled' }, 409);
    if (path.endsWith('/parts') && method === 'POST') {
      const { parts } = JSON.parse(body);
      if (parts.some(({ sha256 }) => Boolean(sha256) !== summed)) return json(response, { code: 'invalid_request' }, 422);
      signed.push(parts.map(({ number }) => number));
      return json(response, { parts: parts.map(permit) });
    }
    if (path.endsWith('/parts')) {
      const parts = [...there].map(([number, bytes]) => ({ number, size: bytes.length, etag: `"e${number}"` }));
      return json(response, { ...plan, parts: parts.sort((a, b) => a.number - b.number) });
    }
    if (path.endsWith('/complete') && settle.completion) return json(response, ...settle.completion);
    if (path.endsWith('/complete')) {
      const gone = [1, 2, 3, 4, 5].filter((number) => !there.has(number));
      return gone.length ? json(response, { code: 'parts_missing' }, 409) : json(response, { ...initiated, state: 'uploaded', version: 2 });
    }
    return json(response, initiated);
  });
  const kept = new MemoryStorage();
  const client = () => new SluiceClient({ baseUrl: server.url, token: 'secret', storage: kept });
  const upload = (options) => client().upload(file(content), options);
  const interrupted = () => client().interrupted();
  const whole = () => [1, 2, 3, 4, 5].map((number) => there.get(number)).join('');
  return { server, upload, interrupted, there, signed, sent, whole, permits: () => signature };
}

const completed = ({ server }) => JSON.parse(server.requests.findLast(({ path }) => path.endsWith('/complete')).body);

test('every part is sent once, from its place in the file', async (t) => {
  const world = await multipart(t);
  const progress = [];
  const upload = await world.upload({ onProgress: ({ sent, total }) => progress.push([sent, total]) });
  assert.equal(upload.state, 'uploaded');
  assert.equal(world.whole(), content);
  assert.deepEqual([...world.sent].sort(), [1, 2, 3, 4, 5]);
  assert.deepEqual(world.signed, [[3, 4, 5]], 'what came with the upload is used, the rest is signed in one call');
  assert.deepEqual(completed(world), { parts: [1, 2, 3, 4, 5].map((number) => ({ number, etag: `"e${number}"` })) });
  assert.deepEqual(progress.at(-1), [23, 23]);
});

test('no more parts are under way than asked for', async (t) => {
  let now = 0;
  let most = 0;
  const world = await multipart(t, {
    offered: 5,
    storage: (number, { body }, response) => {
      most = Math.max(most, ++now);
      setTimeout(() => {
        now--;
        world.there.set(number, body);
        response.writeHead(200, { ETag: `"e${number}"` }).end();
      }, 50);
      return true;
    },
  });
  await world.upload({ concurrency: 2 });
  assert.equal(most, 2);
});

test('a part that fails is signed anew and sent again, the others are not', async (t) => {
  const failures = {
    1: [(r) => r.writeHead(400).end('<Error><Code>RequestTimeout</Code></Error>')],
    2: [(r) => r.writeHead(503).end()],
    3: [(r) => r.writeHead(403).end(), (r) => r.destroy()],
  };
  const urls = [];
  const world = await multipart(t, {
    storage: (number, { path }, response) => {
      urls.push(path);
      const fail = failures[number]?.shift();
      fail?.(response);
      return Boolean(fail);
    },
  });
  await world.upload();
  assert.equal(world.whole(), content);
  assert.deepEqual([...world.sent].sort(), [1, 1, 2, 2, 3, 3, 3, 4, 5]);
  assert.equal(new Set(urls).size, urls.length, 'no signature is used twice');
});

test('a part that storage refuses ends the upload, which goes on later without what arrived', async (t) => {
  let refusing = true;
  const world = await multipart(t, {
    storage: (number, _, response) => refusing && number === 4 && Boolean(setTimeout(() => response.writeHead(400).end(), 100)),
  });
  await assert.rejects(world.upload(), { code: 'storage_refused', status: 400 });
  assert.ok(world.there.size >= 3);
  const before = new Set(world.there.keys());
  const there = [...world.there.values()].join('').length;
  world.there.set(4, 'xx'); // cut short
  refusing = false;
  world.sent.length = 0;
  const progress = [];
  await world.upload({ onProgress: ({ sent }) => progress.push(sent) });
  assert.equal(world.whole(), content);
  assert.deepEqual(world.sent.filter((number) => before.has(number)), [], 'nothing that storage had is sent again');
  assert.equal(progress[0], there, 'progress begins with what is there, and whole');
  assert.equal(world.server.requests.filter(({ path }) => path === '/v1/uploads').length, 1);
});

test('parts that got lost after all are sent again', async (t) => {
  let lose = true;
  const world = await multipart(t, {
    storage: (number, _, response) => {
      if (number !== 5 || !lose) return false;
      lose = false;
      response.writeHead(200, { ETag: '"e5"' }).end(); // and forgets it
      return true;
    },
  });
  await world.upload();
  assert.equal(world.whole(), content);
  assert.deepEqual([...world.sent].sort(), [1, 2, 3, 4, 5, 5]);
});

test('checksums are signed for each part', async (t) => {
  const sums = new Map();
  const world = await multipart(t, {
    storage: (number, { headers }) => {
      sums.set(number, headers['x-sum']);
      return false;
    },
  });
  await world.upload({ sha256: true });
  assert.equal(world.whole(), content);
  const declared = JSON.parse(world.server.requests[0].body);
  assert.match(declared.sha256, /^[0-9a-f]{64}$/);
  assert.equal(declared.part_sha256, true);
  for (let number = 1; number <= 5; number++) assert.match(sums.get(number), /^[0-9a-f]{64}$/);
  assert.equal(new Set(sums.values()).size, 5);
});

test('an upload whose parts are gone was joined, or else is begun anew', async (t) => {
  for (const [completion, begun] of [
    [[{ ...initiated, state: 'uploaded', version: 2 }], 1],
    [[{ code: 'upload_settled' }, 409], 2], [[{ code: 'not_uploaded' }, 409], 2], [[{ code: 'not_found' }, 404], 2],
  ]) {
    let refusing = true;
    const settle = {};
    const world = await multipart(t, {
      settle, storage: (number, _, response) => refusing && number === 4 && Boolean(response.writeHead(400).end()),
    });
    await assert.rejects(world.upload(), { code: 'storage_refused' });
    refusing = false;
    settle.completion = completion;
    const upload = await world.upload();
    assert.equal(upload.state, 'uploaded');
    assert.equal(world.server.requests.filter(({ path }) => path === '/v1/uploads').length, begun);
    if (begun > 1) assert.equal(world.whole(), content);
    assert.deepEqual(await world.interrupted(), []);
  }
});

test('the checksum of the whole file asks for none of its parts', async (t) => {
  const world = await multipart(t);
  await world.upload({ sha256: 'ab'.repeat(32) });
  assert.equal(world.whole(), content);
  const { sha256, part_sha256 } = JSON.parse(world.server.requests[0].body);
  assert.deepEqual({ sha256, part_sha256 }, { sha256: 'ab'.repeat(32), part_sha256: undefined });
});

test('an interrupted upload goes on with checksums if it was begun with them', async (t) => {
  for (const [begun, resumed] of [[true, undefined], [undefined, true]]) {
    let refusing = true;
    const world = await multipart(t, {
      storage: (number, _, response) => refusing && number === 4 && Boolean(response.writeHead(400).end()),
    });
    await assert.rejects(world.upload({ sha256: begun }), { code: 'storage_refused' });
    refusing = false;
    await world.upload({ sha256: resumed });
    assert.equal(world.whole(), content);
    assert.equal(world.server.requests.filter(({ path }) => path === '/v1/uploads').length, 1);
  }
});

test('an application that begins uploads decides about the checksums of parts', async (t) => {
  for (const [wanted, granted] of [[true, true], [true, undefined], [undefined, true]]) {
    const world = await multipart(t);
    const begin = async (declaration) => {
      const body = JSON.stringify({ ...declaration, part_sha256: granted });
      return (await fetch(`${world.server.url}/v1/uploads`, { method: 'POST', body })).json();
    };
    await world.upload({ begin, sha256: wanted });
    assert.equal(world.whole(), content);
  }
});

test('aborting interrupts: what arrived stays, and is resumed', async (t) => {
  const stop = new AbortController();
  const world = await multipart(t, {
    storage: (number, _, response) => number === 4 && !stop.signal.aborted && Boolean(setTimeout(() => {
      stop.abort();
      response.destroy();
    }, 100)),
  });
  await assert.rejects(world.upload({ signal: stop.signal }), { name: 'AbortError' });
  const before = world.sent.length;
  await world.upload();
  assert.equal(world.whole(), content);
  assert.ok(world.sent.slice(before).includes(4));
});
