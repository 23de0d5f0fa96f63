import assert from 'node:assert/strict';
import { test } from 'node:test';

import { refusal, send } from '../assets/client/storage.js';
import { serve } from './server.js';

const slow = '<?xml version="1.0"?>\n<Error><Code>RequestTimeout</Code><Message>Idle.</Message></Error>';

/** As much of XMLHttpRequest as is used, made of fetch. */
class Request {
  upload = {};
  #headers = {};
  open(method, url) { Object.assign(this, { method, url }); }
  setRequestHeader(name, value) { this.#headers[name] = value; }
  async send(body) {
    const response = await fetch(this.url, { method: this.method, headers: this.#headers, body });
    this.status = response.status;
    this.responseText = await response.text();
    this.getResponseHeader = (name) => response.headers.get(name);
    this.onload();
    this.onloadend();
  }
}

test('what storage says is told, by whichever way it was asked', async (t) => {
  const server = await serve(t, (_, response) => response.writeHead(400, { ETag: '"e"' }).end(slow));
  for (const way of [undefined, Request]) {
    globalThis.XMLHttpRequest = way;
    t.after(() => { delete globalThis.XMLHttpRequest; });
    assert.deepEqual(await send({ method: 'PUT', url: server.url, body: new Blob(['hello']) }), { status: 400, etag: '"e"', body: slow });
  }
});

test('an answer of storage that breaks off is none', async (t) => {
  const server = await serve(t, (_, response) => {
    response.writeHead(500, { 'Content-Length': '100' }).write(slow);
    setTimeout(() => response.destroy(), 20);
  });
  await assert.rejects(send({ method: 'PUT', url: server.url, body: new Blob(['hello']) }), { code: 'network' });
});

test('storage that was busy or waited too long is asked again', () => {
  for (const [status, body, temporary] of [
    [400, slow, true], [400, '<Error><Code>EntityTooSmall</Code></Error>', false], [400, '', false], [403, slow, false],
    [408, '', true], [409, '<Error><Code>ConditionalRequestConflict</Code></Error>', true], [412, '', false], [503, '', true],
  ]) {
    const error = refusal('the file', { status, body });
    assert.deepEqual([error.code, error.status, error.temporary], ['storage_refused', status, temporary], `${status} ${body}`);
  }
});
