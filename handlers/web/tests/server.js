/**
 * A server that answers as a test says and notes what it was asked.
 * @module
 */
import { createServer } from 'node:http';

/**
 * @param {import('node:test').TestContext} t
 * @param {(request: { method: string, path: string, headers: object, body: string }, response: import('node:http').ServerResponse) => void} answer
 * @returns {Promise<{ url: string, requests: object[] }>}
 */
export async function serve(t, answer) {
  const requests = [];
  const server = createServer(async (message, response) => {
    let body = '';
    for await (const piece of message) body += piece;
    const request = { method: message.method, path: message.url, headers: message.headers, body };
    requests.push(request);
    answer(request, response);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

/** @param {import('node:http').ServerResponse} response */
export function json(response, body, status = 200, headers = {}) {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

/** Keeps what is stored in memory, as the browser's storages do on disk. */
export class MemoryStorage {
  #map = new Map();
  get length() { return this.#map.size; }
  key(i) { return [...this.#map.keys()][i] ?? null; }
  getItem(key) { return this.#map.get(key) ?? null; }
  setItem(key, value) { this.#map.set(key, String(value)); }
  removeItem(key) { this.#map.delete(key); }
}

/** A file as a page gets it. */
export function file(content, name = 'a.jpg') {
  return Object.assign(new Blob([content], { type: 'image/jpeg' }), { name, lastModified: 7 });
}
