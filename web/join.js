// @ts-check
/** What this device is to the server: the code in the page's address is changed for a cookie, once. */

import { Problem, words } from './words.js';

/** @typedef {{role: 'host' | 'phone' | 'viewer' | null, says: string}} Standing `says`: what a stranger is to do */
/** @typedef {{urls: string[], says: string}} Invitation */

/** @returns {Promise<Standing>} */
export async function join() {
  const token = location.hash.slice(1);
  let refusal = '';
  if (token) {
    // What stays in the address would be in the history and in every screenshot.
    history.replaceState(null, '', location.pathname + location.search);
    const response = await ask('/join', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token }),
    });
    if (!response.ok) refusal = await response.text();
  }
  // A device that joined before needs no code, so an old one does it no harm.
  const standing = /** @type {Standing} */ (await (await ask('/join')).json());
  return { role: standing.role, says: standing.role ? '' : refusal || standing.says };
}

/** For the host's page only. @returns {Promise<Invitation>} */
export async function invitation() {
  return (await ask('/api/join')).json();
}

/** @param {string} path @param {RequestInit} [options] */
async function ask(path, options) {
  return fetch(path, options)
    .catch((error) => { throw new Problem(words.problems.serverGone, { cause: error }); });
}
