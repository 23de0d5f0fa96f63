/**
 * The list of uploads: those of this page on top, below them what the API lists, as the filter says.
 * @module
 */
import { settled } from '../client.js';
import { byId, el } from './dom.js';
import { Row } from './row.js';
import { filters } from './view.js';
import { failure } from './words.js';

const pageSize = 25;

const nothings = {
  all: 'Nothing yet. Your first file will appear here.',
  underway: 'Nothing is on the way.',
  ready: 'Nothing is ready yet.',
  refused: 'Nothing was refused.',
  gone: 'Nothing was cancelled or deleted.',
};

export class List {
  #client;
  #on;
  #filter = 'all';
  #live = [];
  #listed = [];
  #next; // cursor of the page after
  #rows = new Map(); // by item
  #stale = new Set(); // items to be shown anew with the next frame
  #loading = new AbortController();

  /**
   * @param {import('../client.js').SluiceClient} client
   * @param {{ act: (action: string, item: object) => void, arrived: (item: object) => void, signedOut: () => void }} on
   */
  constructor(client, on) {
    this.#client = client;
    this.#on = on;
    byId('filters').append(...Object.entries(filters).map(([key, { name }]) => el('button', {
      type: 'button', value: key, 'aria-pressed': String(key === this.#filter), onclick: () => this.#turn(key),
    }, name)));
    byId('more').addEventListener('click', () => this.#more());
  }

  /** Puts items of this page on top. */
  add(...items) {
    for (const item of items) item.live = true;
    this.#live.unshift(...items);
    this.#arrange();
  }

  /** Makes an item one of this page. */
  promote(item) {
    this.#listed = this.#listed.filter((other) => other !== item);
    this.add(item);
    this.update(item);
  }

  /** The item of an upload, if it is on the list. @param {string} id */
  find(id) { return [...this.#live, ...this.#listed].find(({ upload }) => upload?.id === id); }

  /** Shows an item as it is now. */
  update(item) {
    if (this.#stale.size === 0) requestAnimationFrame(() => this.#refresh());
    this.#stale.add(item);
  }

  remove(item) {
    this.#live = this.#live.filter((other) => other !== item);
    this.#listed = this.#listed.filter((other) => other !== item);
    this.#arrange();
  }

  /** Loads the uploads of a filter. Returns whether the caller may see any. */
  async show(filter = this.#filter) {
    this.#filter = filter;
    for (const button of byId('filters').children) button.setAttribute('aria-pressed', String(button.value === filter));
    for (const item of this.#listed) item.stop?.abort(); // following it
    this.#listed = [];
    this.#next = undefined;
    this.#arrange();
    return this.#load();
  }

  async #turn(filter) {
    if (!await this.show(filter)) this.#on.signedOut();
  }

  async #more() {
    const before = this.#listed.length;
    if (!await this.#load()) this.#on.signedOut();
    this.#rows.get(this.#listed[before])?.element.focus();
  }

  async #load() {
    this.#loading.abort();
    this.#loading = new AbortController();
    const { signal } = this.#loading;
    byId('list-error').textContent = '';
    byId('uploads').setAttribute('aria-busy', 'true');
    try {
      const page = await this.#client.list({ state: filters[this.#filter].states, limit: pageSize, cursor: this.#next, signal });
      this.#next = page.next;
      for (const upload of page.uploads) this.#take(upload);
      return true;
    } catch (error) {
      if (signal.aborted) return true;
      if (error.status === 401) return false;
      byId('list-error').textContent = failure(error);
      return true;
    } finally {
      if (!signal.aborted) {
        byId('uploads').removeAttribute('aria-busy');
        this.#arrange(true);
      }
    }
  }

  #take(upload) {
    if (this.find(upload.id)) return;
    const item = { phase: 'begun', upload, live: false };
    this.#listed.push(item);
    if (!settled(upload) && upload.state !== 'initiated') this.#on.arrived(item);
  }

  #refresh() {
    for (const item of this.#stale) this.#rows.get(item)?.update();
    this.#stale.clear();
    this.#arrange();
  }

  #shows(item) {
    const state = item.phase === 'begun' ? item.upload.state : 'initiated';
    return filters[this.#filter].states.includes(state);
  }

  /** Brings the elements in line with the items, moving only what has to move. */
  #arrange(loaded = byId('uploads').ariaBusy !== 'true') {
    const items = [...this.#live, ...this.#listed].filter((item) => this.#shows(item));
    const list = byId('uploads');
    const rows = items.map((item) => this.#row(item).element);
    for (const over of [...list.children].filter((row) => !rows.includes(row))) {
      const focused = over.contains(document.activeElement);
      const beside = over.nextElementSibling ?? over.previousElementSibling ?? byId('list-title');
      over.remove();
      if (focused) beside.focus();
    }
    let place = list.firstElementChild;
    for (const row of rows) {
      if (row === place) place = place.nextElementSibling;
      else list.insertBefore(row, place);
    }
    for (const item of this.#rows.keys()) if (!items.includes(item)) this.#rows.delete(item);
    byId('more').hidden = !this.#next;
    byId('nothing').textContent = nothings[this.#filter];
    byId('nothing').hidden = items.length > 0 || !loaded || byId('list-error').textContent !== '';
  }

  #row(item) {
    if (!this.#rows.has(item)) this.#rows.set(item, new Row(item, this.#on.act));
    return this.#rows.get(item);
  }
}
