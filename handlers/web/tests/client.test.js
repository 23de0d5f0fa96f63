import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import * as module from '../assets/client.js';
import { SluiceClient, UploadRefused } from '../assets/client.js';
import { file, json, MemoryStorage, serve } from './server.js';

const id = '0199c1f2-0000-7000-8000-000000000001';
const initiated = { id, state: 'initiated', method: 'put', version: 1, filename: 'a.jpg', variants: [] };
const uploaded = { ...initiated, state: 'uploaded', version: 2 };
const ready = { ...initiated, state: 'ready', version: 6 };

const client = (server, options = {}) => new SluiceClient({ baseUrl: `${server.url}/`, token: 'secret', storage: new MemoryStorage(), ...options });
const called = (server) => server.requests.map(({ method, path }) => `${method} ${path.replace(id, 'ID')}`);

test('a small file: begun, sent as signed, completed', async (t) => {
  const server = await serve(t, ({ method, path }, response) => {
    if (path === '/v1/uploads') {
      const upload = { method: 'PUT', url: `${server.url}/storage`, headers: { 'content-type': 'image/jpeg', 'content-length': '5', 'if-none-match': '*' } };
      json(response, { ...initiated, token: 'capability', upload }, 201);
    } else if (method === 'PUT') response.end();
    else json(response, uploaded);
  });
  const seen = [];
  const sent = [];
  const storage = new MemoryStorage();
  const upload = await client(server, { storage }).upload(file('hello'), {
    onChange: ({ state }) => seen.push(state), onProgress: (progress) => sent.push(progress), metadata: { a: 'b' },
  });

  assert.deepEqual(upload, uploaded);
  assert.deepEqual(seen, ['initiated', 'uploaded']);
  assert.deepEqual(sent.at(-1), { sent: 5, total: 5 });
  assert.deepEqual(called(server), ['POST /v1/uploads', 'PUT /storage', 'POST /v1/uploads/ID/complete']);
  const [begun, put, completed] = server.requests;
  assert.deepEqual(JSON.parse(begun.body), { filename: 'a.jpg', content_type: 'image/jpeg', size: 5, metadata: { a: 'b' } });
  assert.equal(begun.headers.authorization, 'Bearer secret');
  assert.match(begun.headers['idempotency-key'], /^[0-9a-f]{32}$/);
  assert.equal(put.body, 'hello');
  assert.equal(put.headers['if-none-match'], '*');
  assert.equal(put.headers.authorization, undefined, 'storage must not see the token');
  assert.equal(completed.headers.authorization, 'Bearer secret');
  assert.equal(storage.length, 0, 'nothing is left to resume');
});

test('a lost answer begins one upload, and a file that had arrived is not an error', async (t) => {
  const keys = [];
  let puts = 0;
  const server = await serve(t, ({ method, path, headers }, response) => {
    if (path === '/v1/uploads') {
      keys.push(headers['idempotency-key']);
      if (keys.length === 1) return response.destroy();
      if (keys.length === 2) return json(response, { code: 'idempotency_key_in_flight' }, 409);
      return json(response, { ...initiated, upload: { method: 'PUT', url: `${server.url}/storage`, headers: {} } }, 201);
    }
    if (method === 'PUT') {
      if (++puts === 1) return response.destroy();
      response.statusCode = 412;
      return response.end();
    }
    return json(response, uploaded);
  });
  await client(server).upload(file('hello'));
  assert.equal(keys.length, 3);
  assert.equal(new Set(keys).size, 1);
  assert.equal(puts, 2);
});

test('an answer that breaks off is asked for again, one that cannot be read is not', async (t) => {
  const keys = [];
  const server = await serve(t, ({ method, path, headers }, response) => {
    if (path === '/v1/uploads') {
      keys.push(headers['idempotency-key']);
      if (keys.length > 1) return json(response, { ...initiated, upload: { method: 'PUT', url: `${server.url}/storage`, headers: {} } }, 201);
      response.writeHead(201, { 'Content-Type': 'application/json', 'Content-Length': '100' }).write('{"id":');
      return setTimeout(() => response.destroy(), 20);
    }
    if (method === 'PUT') return response.end();
    return response.end('<html>');
  });
  await assert.rejects(client(server).upload(file('hello')), { code: 'unreadable_answer', status: 200, temporary: false });
  assert.equal(keys.length, 2);
  assert.equal(new Set(keys).size, 1);
  assert.equal(called(server).filter((one) => one.endsWith('/complete')).length, 1);
});

test('storage that refuses is told as it is', async (t) => {
  for (const status of [403, 412]) {
    const server = await serve(t, ({ method }, response) => {
      if (method !== 'PUT') return json(response, { ...initiated, upload: { method: 'PUT', url: `${server.url}/storage`, headers: {} } }, 201);
      response.statusCode = status;
      return response.end();
    });
    await assert.rejects(client(server).upload(file('hello')), { code: 'storage_refused', status });
    assert.equal(server.requests.length, 2);
  }
});

test('a file that storage took too slowly, or twice at once, is sent again', async (t) => {
  for (const [status, body] of [[400, '<Error><Code>RequestTimeout</Code></Error>'], [409, '<Error><Code>ConditionalRequestConflict</Code></Error>']]) {
    let puts = 0;
    const server = await serve(t, ({ method, path }, response) => {
      if (method === 'PUT') return ++puts === 1 ? response.writeHead(status).end(body) : response.end();
      if (path === '/v1/uploads') return json(response, { ...initiated, upload: { method: 'PUT', url: `${server.url}/storage`, headers: {} } }, 201);
      return json(response, uploaded);
    });
    assert.equal((await client(server).upload(file('hello'))).state, 'uploaded');
    assert.equal(puts, 2);
  }
});

test('a form has the file last', async (t) => {
  const server = await serve(t, ({ path }, response) => {
    if (path === '/v1/uploads') {
      return json(response, { ...initiated, method: 'post', upload: { method: 'POST', url: `${server.url}/storage/`, fields: { key: 'k', policy: 'p' } } }, 201);
    }
    if (path === '/storage/') return response.writeHead(201).end();
    return json(response, uploaded);
  });
  await client(server).upload(file('hello'), { method: 'post' });
  const names = [...server.requests[1].body.matchAll(/ name="([^"]+)"/g)].map(([, name]) => name);
  assert.deepEqual(names, ['key', 'policy', 'file']);
  assert.match(server.requests[1].headers['content-type'], /^multipart\/form-data/);
});

test('Retry-After is waited out', async (t) => {
  let began;
  const server = await serve(t, (_, response) => {
    if (began) return json(response, { uploads: [] });
    began = Date.now();
    return json(response, { code: 'rate_limited' }, 429, { 'Retry-After': '1' });
  });
  await client(server).list({ state: ['ready', 'infected'], limit: 5, cursor: 'c' });
  assert.ok(Date.now() - began >= 1000);
  assert.equal(server.requests[1].path, '/v1/uploads?state=ready&state=infected&limit=5&cursor=c');
});

test('an application may begin uploads itself: its pages need the upload’s own token only', async (t) => {
  const server = await serve(t, ({ method }, response) => (method === 'PUT' ? response.end() : json(response, uploaded)));
  const sluice = client(server, { token: undefined });
  const begin = async (declaration) => {
    assert.equal(declaration.size, 5);
    return { ...initiated, token: 'capability', upload: { method: 'PUT', url: `${server.url}/storage`, headers: {} } };
  };
  await sluice.upload(file('hello'), { begin });
  await sluice.get(id);
  assert.deepEqual(called(server), ['PUT /storage', 'POST /v1/uploads/ID/complete', 'GET /v1/uploads/ID']);
  for (const { headers } of server.requests.slice(1)) assert.equal(headers.authorization, 'Bearer capability');
});

test('what is not ready is an error with its reason', async (t) => {
  const infected = { ...initiated, state: 'infected', reason: { code: 'malware', detail: 'Eicar' } };
  const server = await serve(t, (_, response) => json(response, infected));
  await assert.rejects(client(server).waitUntilReady(id), (error) => error instanceof UploadRefused
    && error.code === 'malware' && error.message === 'Eicar' && error.upload.id === id);
});

test('an interrupted PUT begins anew and leaves nothing behind', async (t) => {
  const storage = new MemoryStorage();
  let broken = true;
  const server = await serve(t, ({ method, path }, response) => {
    if (method === 'DELETE') return json(response, { ...initiated, state: 'aborted' });
    if (method === 'PUT') return broken ? response.writeHead(403).end() : response.end();
    if (path === '/v1/uploads') return json(response, { ...initiated, upload: { method: 'PUT', url: `${server.url}/storage`, headers: {} } }, 201);
    return json(response, method === 'GET' ? initiated : uploaded);
  });
  await assert.rejects(client(server, { storage }).upload(file('hello')));
  const later = client(server, { storage });
  assert.deepEqual((await later.interrupted()).map((one) => one.id), [id]);
  broken = false;
  await later.upload(file('hello'));
  assert.deepEqual(called(server).slice(2), ['GET /v1/uploads/ID', 'DELETE /v1/uploads/ID', 'POST /v1/uploads', 'PUT /storage', 'POST /v1/uploads/ID/complete']);
  assert.deepEqual(await later.interrupted(), []);
});

test('an interrupted upload that may not be seen is forgotten only with its own token', async (t) => {
  for (const status of [401, 403]) {
    for (const own of [false, true]) {
      const storage = new MemoryStorage();
      let broken = true;
      const server = await serve(t, ({ method, path }, response) => {
        if (method === 'PUT') return broken ? response.writeHead(403).end() : response.end();
        if (method === 'GET') return json(response, { code: 'token_expired' }, status);
        if (path === '/v1/uploads') return json(response, { ...initiated, token: 'capability', upload: { method: 'PUT', url: `${server.url}/storage`, headers: {} } }, 201);
        return json(response, uploaded);
      });
      const begin = async () => (await fetch(`${server.url}/v1/uploads`, { method: 'POST' })).json();
      const upload = () => client(server, { storage }).upload(file('hello'), own ? { begin } : {});
      await assert.rejects(upload(), { code: 'storage_refused' });
      broken = false;
      if (own) {
        assert.equal((await upload()).state, 'uploaded');
      } else {
        await assert.rejects(upload(), { status });
        assert.deepEqual((await client(server, { storage }).interrupted()).map((one) => one.id), [id]);
      }
      assert.equal(server.requests.filter(({ path }) => path === '/v1/uploads').length, own ? 2 : 1);
    }
  }
});

test('the same file twice at once is two uploads', async (t) => {
  let begun = 0;
  const server = await serve(t, ({ method, path }, response) => {
    if (path === '/v1/uploads') {
      const one = `${++begun}`;
      return json(response, { ...initiated, id: one, upload: { method: 'PUT', url: `${server.url}/storage`, headers: {} } }, 201);
    }
    if (method === 'PUT') return setTimeout(() => response.end(), 200);
    return json(response, { ...uploaded, id: path.split('/')[3] });
  });
  const sluice = client(server);
  const first = sluice.upload(file('hello'), { onChange: (upload) => { if (upload.state === 'initiated') second = sluice.upload(file('hello')); } });
  let second;
  assert.equal((await first).id, '1');
  assert.equal((await second).id, '2');
  assert.deepEqual(called(server).filter((one) => one.startsWith('DELETE')), []);
});

test('the types name what there is', async () => {
  const types = await readFile(new URL('../assets/client.d.ts', import.meta.url), 'utf8');
  const [, body] = /export class SluiceClient \{(.*?)^\}/ms.exec(types);
  const named = [...body.matchAll(/^ {2}(\w+)\(/gm)].map(([, name]) => name);
  assert.deepEqual(named.sort(), Object.getOwnPropertyNames(SluiceClient.prototype).sort());
  const exported = [...types.matchAll(/^export (?:class|function) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(exported.sort(), Object.keys(module).sort());
});

test('ready comes by whatever way there is', async (t) => {
  const event = (upload) => `event: upload\nid: ${upload.version}\ndata: ${JSON.stringify(upload)}\n\n`;
  const stream = (response, ...texts) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (const text of texts) response.write(text);
  };
  const ways = {
    'a stream': ({ path }, response) => (path.endsWith('/events')
      ? stream(response, ': hello\n\n', event(uploaded), event(uploaded), event(ready)) : response.destroy()),
    'a stream that breaks off': ({ path, headers }, response) => {
      if (!path.endsWith('/events')) return response.destroy();
      if (!headers['last-event-id']) {
        stream(response, event(uploaded), 'event: upl');
        return setTimeout(() => response.destroy(), 50);
      }
      assert.equal(headers['last-event-id'], '2');
      return stream(response, event(ready));
    },
    'long polling': ({ path }, response) => {
      if (path.endsWith('/events')) return json(response, { code: 'not_found' }, 404);
      if (path.includes('wait=25s&after=2')) return setTimeout(() => json(response, ready), 50);
      return json(response, uploaded);
    },
    polling: (() => {
      let asked = 0;
      return ({ path, headers }, response) => {
        if (path.endsWith('/events')) return json(response, {}, 406);
        if (path.includes('wait=')) return json(response, { code: 'invalid_request' }, 422);
        asked++;
        if (asked === 2) {
          assert.equal(headers['if-none-match'], '"2"');
          return response.writeHead(304).end();
        }
        return json(response, asked === 1 ? uploaded : ready);
      };
    })(),
  };
  for (const [name, answer] of Object.entries(ways)) {
    await t.test(name, async (t) => {
      const server = await serve(t, answer);
      const heard = [];
      const upload = await client(server).waitUntilReady(id, { onChange: ({ state }) => heard.push(state) });
      assert.equal(upload.state, 'ready');
      assert.deepEqual(heard, ['uploaded', 'ready'], 'each news once');
      for (const { headers } of server.requests) assert.equal(headers.authorization, 'Bearer secret');
    });
  }
});

test('an upload that is not there is not waited for', async (t) => {
  const server = await serve(t, (_, response) => json(response, { code: 'not_found', detail: 'There is no such upload.' }, 404));
  await assert.rejects(client(server).watch(id), { code: 'not_found', status: 404 });
  const denied = await serve(t, (_, response) => json(response, { code: 'token_expired' }, 401));
  await assert.rejects(client(denied).watch(id), { code: 'token_expired' });
  assert.equal(denied.requests.length, 1);
});
