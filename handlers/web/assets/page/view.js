/**
 * How a file or an upload is shown: what is said of it, how far it has come, and what can be done with it.
 * @module
 */
import { failure, fate, size } from './words.js';

/** The reaches of the channel that every file goes through, each with the state at its end. */
export const reaches = [
  { name: 'Send', state: 'uploaded' },
  { name: 'Check', state: 'verified' },
  { name: 'Scan', state: 'clean' },
  { name: 'Prepare', state: 'processed' },
  { name: 'Publish', state: 'ready' },
];

const line = ['initiated', ...reaches.map(({ state }) => state)];

/** The filters of the list, with the states that each shows. */
export const filters = {
  all: { name: 'All', states: [...line, 'rejected', 'infected', 'unscannable', 'failed'] },
  underway: { name: 'On the way', states: line.slice(0, -1) },
  ready: { name: 'Ready', states: ['ready'] },
  refused: { name: 'Refused', states: ['rejected', 'infected', 'unscannable', 'failed'] },
  gone: { name: 'Gone', states: ['expired', 'aborted', 'deleted'] },
};

/** Codes of errors that come again however often a file is sent. */
const hopeless = new Set(['empty_file', 'type_not_allowed', 'too_large', 'invalid_request', 'method_not_supported', 'file_changed']);

/**
 * @typedef {object} Item
 * @property {'waiting' | 'sending' | 'interrupted' | 'failed' | 'begun'} phase begun: as the upload's state says
 * @property {File} [file]
 * @property {import('../client.js').Upload} [upload]
 * @property {number} [sent] bytes
 * @property {{ code?: string, message: string }} [error]
 */

/**
 * @typedef {object} View
 * @property {string} name
 * @property {string} words what is said of it
 * @property {'calm' | 'good' | 'bad'} tone
 * @property {number} reached reaches that are behind it
 * @property {number} part of the next one, 0 to 1
 * @property {boolean} shut whether it ends there
 * @property {string[]} actions names of what can be done: cancel, continue, again, delete, dismiss
 */

/** @param {Item} item @returns {View} */
export function view(item) {
  const { phase, file, upload, sent = 0, error } = item;
  const name = upload?.filename ?? file.name;
  const begun = { name, part: 0, reached: 0, shut: false, tone: 'calm' };
  switch (phase) {
    case 'waiting':
      return { ...begun, words: 'Waiting for its turn', actions: ['cancel'] };
    case 'sending':
      return { ...begun, words: sending(sent, file.size), part: file.size ? sent / file.size : 0, actions: ['cancel'] };
    case 'interrupted':
      return {
        ...begun, actions: ['continue', 'delete'],
        words: error ? failure(error) : 'Interrupted. Continue to send the rest of it.',
      };
    case 'failed':
      return {
        ...begun, words: failure(error), tone: 'bad', shut: true, actions: hopeless.has(error.code) ? ['dismiss'] : ['again', 'dismiss'],
      };
  }
  const reached = line.indexOf(upload.state);
  if (reached >= 0) {
    const ready = upload.state === 'ready';
    return { ...begun, words: fate(upload), tone: ready ? 'good' : 'calm', reached, actions: [ready ? 'delete' : 'cancel'] };
  }
  const gone = filters.gone.states.includes(upload.state);
  return {
    ...begun, words: fate(upload), tone: gone ? 'calm' : 'bad', shut: true, reached: reachedBefore(upload),
    actions: upload.state === 'deleted' ? [] : ['delete'],
  };
}

function sending(sent, total) {
  if (!sent) return 'Sending…';
  if (sent >= total) return 'Sent. Waiting for storage…';
  return `Sending ${Math.floor(100 * sent / total)}% · ${size(sent)} of ${size(total)}`;
}

/** How far an upload came before it left the line. Lists tell no history: they show the first gate shut. */
function reachedBefore({ history = [], state }) {
  const left = history.find(({ to }) => to === state);
  if (left) return Math.max(0, line.indexOf(left.from));
  return { infected: 2, unscannable: 2, rejected: 1 }[state] ?? 0;
}

/** The smallest rendition, for a thumbnail. @param {import('../client.js').Upload} [upload] */
export function thumbnail(upload) {
  return upload?.variants.reduce((least, one) => (!least || one.width * one.height < least.width * least.height ? one : least), undefined);
}

/** The name of the symbol for a media type. @param {string} type */
export const symbol = (type) => (/^(image|video)\//.exec(type)?.[1] ?? 'file');
