/**
 * One line of the list.
 * @module
 */
import { drawing, el, isWebURL } from './dom.js';
import { reaches, symbol, thumbnail, view } from './view.js';
import { moment, size } from './words.js';

const labels = {
  cancel: 'Cancel', continue: 'Continue', again: 'Try again', delete: 'Delete', dismiss: 'Dismiss',
};

export class Row {
  #item;
  #act;
  #face = el('div', { className: 'face' });
  #name = el('bdi');
  #meta = el('p', { className: 'meta' });
  #channel = channel();
  #words = el('p', { className: 'words' });
  #links = el('p', { className: 'links' });
  #actions = el('div', { className: 'actions' });
  #shown = {}; // what face, links and actions were made of

  /**
   * @param {import('./view.js').Item & { live?: boolean }} item
   * @param {(action: string, item: object) => void} act
   */
  constructor(item, act) {
    this.#item = item;
    this.#act = act;
    this.element = el('li', { className: 'upload', tabIndex: -1 },
      this.#face,
      el('div', { className: 'facts' },
        el('p', { className: 'name' }, this.#name), this.#meta, this.#channel, this.#words, this.#links),
      this.#actions);
    this.update();
  }

  /** Shows the item as it is now. */
  update() {
    const { file, upload, live } = this.#item;
    const seen = view(this.#item);
    this.element.dataset.tone = seen.tone;
    this.element.dataset.state = this.#item.phase === 'begun' ? upload.state : this.#item.phase;
    this.#name.textContent = seen.name;
    this.#words.textContent = seen.words;
    this.#meta.textContent = [
      size(upload?.size ?? file.size), upload?.width && `${upload.width} × ${upload.height}`, upload && moment(upload.created_at),
    ].filter(Boolean).join(' · ');
    this.#showChannel(seen, live);
    this.#changed('face', upload?.state === 'ready' ? upload.id : seen.shut, () => this.#showFace(seen));
    this.#changed('links', upload?.url, () => this.#showLinks());
    this.#changed('actions', seen.actions.join(), () => this.#showActions(seen));
  }

  /** Makes a part anew only when it differs: what has the focus, or is being loaded, stays. */
  #changed(part, value, make) {
    if (part in this.#shown && this.#shown[part] === value) return;
    this.#shown[part] = value;
    make();
  }

  #showChannel(seen, live) {
    const over = seen.reached === reaches.length || seen.shut;
    this.#channel.hidden = over && !live;
    const way = Math.round(100 * Math.min(1, (seen.reached + seen.part) / reaches.length));
    this.#channel.setAttribute('aria-label', `Way of ${seen.name}`);
    this.#channel.setAttribute('aria-valuenow', way);
    this.#channel.setAttribute('aria-valuetext', seen.words);
    Array.from(this.#channel.children).forEach((reach, i) => {
      reach.dataset.is = i < seen.reached ? 'behind' : i > seen.reached ? 'ahead' : seen.shut ? 'shut' : 'here';
      reach.style.setProperty('--part', i === seen.reached ? seen.part : 0);
    });
  }

  #showFace(seen) {
    const { upload, file } = this.#item;
    const sign = drawing(seen.shut ? 'shut' : symbol(upload?.content_type ?? file.type));
    const small = upload?.state === 'ready' ? thumbnail(upload) : undefined;
    if (!small || !isWebURL(small.url)) return this.#face.replaceChildren(sign);
    return this.#face.replaceChildren(el('img', {
      src: small.url, alt: '', loading: 'lazy', decoding: 'async', width: small.width, height: small.height,
      onerror: () => this.#face.replaceChildren(sign),
    }));
  }

  #showLinks() {
    const { upload } = this.#item;
    const urls = upload?.url ? [['Original', upload.url], ...upload.variants.map((one) => [`${one.width} × ${one.height}`, one.url])] : [];
    const links = urls.filter(([, url]) => isWebURL(url)).map(([text, url]) => el('a', {
      href: url, target: '_blank', rel: 'noopener', 'aria-label': `${text} of ${upload.filename}`,
    }, text));
    if (links.length > 0 && navigator.clipboard) links.push(this.#copier(upload));
    this.#links.replaceChildren(...links);
  }

  #copier(upload) {
    const button = el('button', { type: 'button', className: 'plain', 'aria-label': `Copy link of ${upload.filename}` }, 'Copy link');
    button.addEventListener('click', async () => {
      const done = await navigator.clipboard.writeText(upload.url).then(() => true, () => false);
      button.textContent = done ? 'Copied' : 'Not copied';
      setTimeout(() => { button.textContent = 'Copy link'; }, 2000);
    });
    return button;
  }

  #showActions(seen) {
    const focused = this.#actions.contains(document.activeElement);
    this.#actions.replaceChildren(...seen.actions.map((action) => el('button', {
      type: 'button', className: ['continue', 'again'].includes(action) ? 'strong' : '',
      'aria-label': `${labels[action]} ${seen.name}`, onclick: () => this.#act(action, this.#item),
    }, labels[action])));
    if (focused) (this.#actions.querySelector('button') ?? this.element).focus();
  }
}

function channel() {
  return el('div', { className: 'channel', role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': 100 },
    ...reaches.map(({ name }) => el('span', { className: 'reach' }, el('i'), el('b', {}, name))));
}
