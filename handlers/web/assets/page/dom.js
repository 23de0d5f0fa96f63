/**
 * Elements, made without markup: text from outside stays text.
 * @module
 */

/**
 * @param {string} tag
 * @param {object} [properties] of the element; those with a dash are attributes
 * @param {...(Node | string | undefined | false)} children
 * @returns {HTMLElement}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (name === 'role' || name.includes('-')) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== undefined && child !== false));
  return element;
}

const svg = 'http://www.w3.org/2000/svg';

/** A drawing of those at the end of index.html. @param {string} id */
export function drawing(id) {
  const element = document.createElementNS(svg, 'svg');
  const use = document.createElementNS(svg, 'use');
  use.setAttribute('href', `#${id}`);
  element.append(use);
  element.setAttribute('aria-hidden', 'true');
  return element;
}

/** @param {string} id @returns {HTMLElement} */
export const byId = (id) => document.getElementById(id);

/** Only what leads to a web page makes a link. @param {string} url */
export const isWebURL = (url) => /^https?:\/\//i.test(url);

/** Says something to those who listen to the page. @param {string} words */
export function announce(words) {
  const line = el('p', {}, words);
  byId('heard').append(line);
  setTimeout(() => line.remove(), 10_000);
}

/**
 * Asks before something that cannot be undone.
 * @param {{ title: string, words: string, yes: string }} question
 * @returns {Promise<boolean>}
 */
export function ask({ title, words, yes }) {
  const dialog = byId('question');
  byId('question-title').textContent = title;
  byId('question-words').textContent = words;
  dialog.querySelector('[value=yes]').textContent = yes;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}
