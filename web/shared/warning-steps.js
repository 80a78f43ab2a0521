// @ts-check
/** The two steps past a browser's certificate warning, drawn as small phones, for those who are about to scan the code. */

import { made } from './dom.js';
import { words } from './i18n.js';

/** @param {HTMLElement} element is filled, and shown if the certificate is whycam's own @param {boolean} warns */
export function showWarningSteps(element, warns) {
  element.hidden = !warns;
  if (!warns) return;
  const { title, how, systems } = words.common.warning;
  const pairs = made('div', 'systems');
  pairs.append(...systems.map(({ name, steps }) => {
    const one = made('div', 'system');
    const list = made('ol', 'steps');
    list.append(...steps.map(drawn));
    one.append(made('p', 'system-name', name), list);
    return one;
  }));
  element.replaceChildren(made('p', 'warning-title', title), made('p', 'warning-how', how), pairs);
}

/** A phone with the warning's text as lines, and the words to tap. @param {string} tap @param {number} step */
function drawn(tap, step) {
  const phone = made('li', 'step');
  phone.append(...['long', 'short', ...(step ? ['long', 'short'] : [])].map((length) => made('i', `line ${length}`)), made('b', 'tap', tap));
  return phone;
}
