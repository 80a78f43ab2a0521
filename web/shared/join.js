// @ts-check
/** What this device is to the server: the code in the page's address is changed for a cookie, once. */

import { words } from './i18n.js';
import { UserError } from './user-error.js';

/** @typedef {{role: 'host' | 'phone' | 'viewer' | null, says: string}} Standing `says`: what a stranger is to do */
/** @typedef {{urls: string[], lan: boolean}} Invitation `lan`: whether phones may come at all */

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
    if (!response.ok) refusal = UserError.answered('join', response.status, await response.text()).message;
  }
  // A device that joined before needs no code, so an old one does it no harm.
  const role = await standing();
  return { role, says: role ? '' : refusal || words.common.problems.notJoined };
}

/** As `join`, for a page whose address may name something else than a code: only a stranger's is taken. */
export async function joinOnce() {
  const role = await standing();
  return role ? { role, says: '' } : join();
}

/** @returns {Promise<Standing['role']>} what this device is already */
async function standing() {
  return (await (await ask('/join')).json()).role;
}

/** For the host's page only. @returns {Promise<Invitation>} */
export async function invitation() {
  return (await ask('/api/join')).json();
}

/** @param {string} path @param {RequestInit} [options] */
async function ask(path, options) {
  return fetch(path, options)
    .catch((error) => { throw new UserError(words.common.problems.serverGone, { cause: error }); });
}
