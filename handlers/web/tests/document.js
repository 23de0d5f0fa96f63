/**
 * As much of a document as the page's list needs: elements that are in one another, and show nothing.
 * @module
 */

class Element {
  children = [];
  dataset = {};
  style = { setProperty() {} };
  #parent;

  get firstElementChild() { return this.children[0] ?? null; }
  get nextElementSibling() { return this.#beside(1); }
  get previousElementSibling() { return this.#beside(-1); }

  append(...children) { for (const child of children) this.insertBefore(child, null); }
  insertBefore(child, place) {
    child.remove?.();
    this.children.splice(place ? this.children.indexOf(place) : this.children.length, 0, child);
    if (child instanceof Element) child.#parent = this;
  }
  replaceChildren(...children) {
    this.children = [];
    this.append(...children);
  }
  remove() {
    if (this.#parent) this.#parent.children = this.#parent.children.filter((child) => child !== this);
    this.#parent = undefined;
  }

  contains() { return false; }
  querySelector() { return null; }
  setAttribute(name, value) { if (name === 'aria-busy') this.ariaBusy = value; }
  removeAttribute(name) { if (name === 'aria-busy') this.ariaBusy = null; }
  addEventListener() {}

  #beside(step) { return this.#parent?.children[this.#parent.children.indexOf(this) + step] ?? null; }
}

/** Makes a document the global one while a test runs. @param {import('node:test').TestContext} t */
export function openDocument(t) {
  const named = new Map();
  globalThis.document = {
    activeElement: null,
    createElement: () => new Element(),
    createElementNS: () => new Element(),
    getElementById(id) {
      if (!named.has(id)) named.set(id, new Element());
      return named.get(id);
    },
  };
  globalThis.requestAnimationFrame = () => { /* nothing is drawn */ };
  t.after(() => {
    delete globalThis.document;
    delete globalThis.requestAnimationFrame;
  });
  return globalThis.document;
}
