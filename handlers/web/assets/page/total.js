/**
 * The line that tells how far all files together are.
 * @module
 */
import { byId } from './dom.js';
import { count, duration, size } from './words.js';

const memory = 8000; // milliseconds that the speed is taken from

export class Total {
  #measured = []; // [time in milliseconds, bytes sent]

  /** @param {{ files: number, filesSent: number, bytes: number, bytesSent: number }} total @param {boolean} busy */
  show({ files, filesSent, bytes, bytesSent }, busy) {
    byId('total').hidden = !busy;
    if (!busy) {
      this.#measured = [];
      return;
    }
    const bar = byId('total-bar');
    const part = bytes ? bytesSent / bytes : 0;
    bar.style.setProperty('--part', part);
    bar.setAttribute('aria-valuenow', Math.floor(100 * part));
    byId('total-words').textContent = [
      files > 1 ? `${filesSent} of ${count(files, 'file')} sent` : 'Sending one file',
      `${size(bytesSent)} of ${size(bytes)}`,
      this.#remaining(bytes - bytesSent, bytesSent),
    ].filter(Boolean).join(' · ');
  }

  #remaining(left, sent) {
    const now = performance.now();
    if (sent < (this.#measured.at(-1)?.[1] ?? 0)) this.#measured = []; // something is sent again
    this.#measured.push([now, sent]);
    this.#measured = this.#measured.filter(([time]) => now - time < memory);
    const [since, before] = this.#measured[0];
    if (now - since < 1500 || sent === before) return '';
    return `${duration(left / (sent - before) * (now - since) / 1000)} left`;
  }
}
