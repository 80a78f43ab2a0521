// @ts-check
/** The texts and percentages in the browser's language, and how they get into a page. */

import { german } from '../locales/de.js';
import { english } from '../locales/en.js';

/** @typedef {typeof english} Words */

/** @type {Record<string, Words>} */
const LANGUAGES = { en: english, de: german };

/** The first of the person's languages that is available. */
export const language = navigator.languages
  .map((tag) => tag.slice(0, 2).toLowerCase())
  .find((tag) => tag in LANGUAGES) ?? 'en';

export const words = LANGUAGES[language];

const whole = new Intl.NumberFormat(language, { style: 'percent' });
const tenths = new Intl.NumberFormat(language, { style: 'percent', minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** @param {number} score 0…1 */
export function percent(score) {
  return score >= 0.0005 && score < 0.0995 ? tenths.format(score) : whole.format(score);
}

/**
 * The text for one of the server's codes (docs/api.md), or `otherwise` for a code that this page does not know.
 *
 * @template T
 * @param {Record<string, T>} texts
 * @param {string | null | undefined} code
 * @param {T} otherwise
 */
export function coded(texts, code, otherwise) {
  return code && Object.hasOwn(texts, code) ? texts[code] : otherwise;
}

/** From the attribute that names a text to the attribute that gets it. */
const PLACES = {
  'data-words-label': 'aria-label', 'data-words-title': 'title', 'data-words-alt': 'alt', 'data-words-placeholder': 'placeholder',
};

/**
 * Puts the texts into the elements that name them, `data-words="phone.start"`. Until then base.css hides everything, so
 * that nothing jumps. An array of texts becomes list items.
 *
 * @param {ParentNode} root
 */
export function fillIn(root = document) {
  for (const element of root.querySelectorAll('[data-words]')) {
    const text = named(element.getAttribute('data-words') ?? '');
    if (Array.isArray(text)) element.replaceChildren(...text.map((one) => write(document.createElement('li'), one)));
    else write(element, String(text));
  }
  for (const [attribute, place] of Object.entries(PLACES)) {
    for (const element of root.querySelectorAll(`[${attribute}]`)) {
      element.setAttribute(place, String(named(element.getAttribute(attribute) ?? '')));
    }
  }
  document.documentElement.lang = language;
  document.documentElement.dataset.words = 'ready';
}

/**
 * Writes a text into an element, with its *strong* and `code` parts.
 *
 * @template {Element} E
 * @param {E} element
 * @param {string} text
 */
export function write(element, text) {
  element.replaceChildren(...text.split(/(\*[^*]+\*|`[^`]+`)/).map((part) => {
    const tag = { '*': 'b', '`': 'code' }[part.length > 2 ? part[0] : ''];
    if (!tag) return part;
    const inner = document.createElement(tag);
    inner.textContent = part.slice(1, -1);
    return inner;
  }));
  return element;
}

/** @param {string} path such as `phone.start` */
function named(path) {
  /** @type {any} */
  let text = words;
  for (const key of path.split('.')) text = text?.[key];
  if (text === undefined) throw new Error(`there is no text ${path}`);
  return text;
}
