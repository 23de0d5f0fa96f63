import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SluiceError } from '../assets/client.js';
import { stillOpen } from '../assets/page/interrupted.js';

test('only an upload that takes no bytes any more is forgotten', async () => {
  const upload = (state) => async () => ({ id: 'one', state });
  const failure = (facts) => async () => { throw new SluiceError('no', { code: 'x', ...facts }); };
  const cases = [
    [upload('initiated'), 'initiated', []],
    [upload('aborted'), undefined, ['one']],
    [upload('uploaded'), undefined, ['one']],
    [failure({ status: 404 }), undefined, ['one']],
    [failure({ status: 401 }), undefined, []],
    [failure({ status: 503 }), undefined, []],
    [failure({ code: 'network' }), undefined, []],
  ];
  for (const [get, state, want] of cases) {
    const forgotten = [];
    const found = await stillOpen({ get, forget: (id) => forgotten.push(id) }, 'one');
    assert.equal(found?.state, state);
    assert.deepEqual(forgotten, want);
  }
});
