// @ts-check
/** On the computer's own page: how a phone comes in. */

import { invitation } from './join.js';

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** Shows the code, or why there is none. */
export async function showPhones() {
  const { urls, says } = await invitation();
  const code = /** @type {HTMLImageElement} */ (element('code'));
  code.hidden = element('phones-how').hidden = element('phones-help').hidden = !urls.length;
  if (urls.length) code.src = '/api/join.svg';
  // The token belongs to the picture; without it an address can be shown, and read aloud.
  element('phones-urls').textContent = urls.map((url) => url.split('#')[0]).join(' · ');
  element(urls.length ? 'phones-more' : 'phones-urls').textContent = says;
  element('phones').hidden = false;
}
