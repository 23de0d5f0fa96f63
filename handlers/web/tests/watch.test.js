import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SluiceClient } from '../assets/client.js';
import { attempts } from '../assets/client/patience.js';

const uploaded = { id: 'one', state: 'uploaded', version: 2 };
const ready = { id: 'one', state: 'ready', version: 6 };

const news = (upload) => Response.json(upload);
const none = () => new Response(null, { status: 304 });
const away = () => Response.json({ code: 'unavailable' }, { status: 503 });
const unknown = () => Response.json({ code: 'not_found' }, { status: 404 });

const later = globalThis.setTimeout;

/** A stream of events that ends, or breaks off. */
const stream = (text, broken) => new Response(new ReadableStream({
  start(controller) {
    controller.enqueue(new TextEncoder().encode(text));
    if (broken) later(() => controller.error(new TypeError('terminated')), 20);
    else controller.close();
  },
}), { headers: { 'Content-Type': 'text/event-stream' } });
const event = (upload) => `event: upload\nid: ${upload.version}\ndata: ${JSON.stringify(upload)}\n\n`;

const silences = [6_000, 45_000]; // milliseconds after which a stream is taken for dead

/** Watches an upload with an API that answers as a test says. Pauses take a hundredth of their time. */
async function watch(t, answer) {
  t.after(() => { globalThis.setTimeout = later; });
  globalThis.setTimeout = (task, milliseconds) => later(task, silences.includes(milliseconds) ? milliseconds : milliseconds / 100);
  const asked = [];
  const fetch = async (url) => {
    const rest = url.replace('/v1/uploads/one', '');
    asked.push(rest);
    return answer(rest, asked.filter((one) => one === rest).length);
  };
  const upload = await new SluiceClient({ fetch, storage: null }).watch('one');
  return { upload, asked };
}

test('failures count in a row: those between answers without news do not add up', async (t) => {
  const { upload } = await watch(t, (rest, times) => {
    if (rest !== '') return unknown();
    if (times === 1) return news(uploaded);
    if (times === 30) return news(ready);
    return times % 3 === 0 ? none() : away();
  });
  assert.equal(upload.state, 'ready');
});

test('failures in a row are told', async (t) => {
  let failures = 0;
  await assert.rejects(watch(t, (rest, times) => {
    if (rest !== '') return unknown();
    if (times === 1) return news(uploaded);
    failures++;
    return away();
  }), { code: 'unavailable' });
  assert.equal(failures, attempts);
});

test('streams without news are given up, and take no tries from what is asked then', async (t) => {
  for (const broken of [false, true]) {
    const { upload, asked } = await watch(t, (rest, times) => {
      if (rest === '/events') return stream(times === 1 ? event(uploaded) : ': hello\n\n', broken);
      if (times === 7) return news(ready);
      return away();
    });
    assert.equal(upload.state, 'ready');
    assert.equal(asked.filter((rest) => rest === '/events').length, 4);
  }
});

test('streams that bring news are followed on', async (t) => {
  const { upload, asked } = await watch(t, (rest, times) => {
    assert.equal(rest, '/events');
    if (times === 12) return stream(event({ ...ready, version: times }));
    return stream(times % 3 ? ': hello\n\n' : event({ ...uploaded, version: times }), times % 2);
  });
  assert.equal(upload.state, 'ready');
  assert.equal(asked.length, 12);
});
