// @ts-check
/** This device's role: the code in the page's address is exchanged once for a cookie. */

import { words } from './i18n.js';
import { UserError } from './user-error.js';

/** @typedef {{role: 'host' | 'phone' | 'viewer' | null, says: string}} Membership `says`: what to do without a role */
/**
 * `lan`: whether phones can join now; `warns`: whether their browsers warn of the certificate
 *
 * @typedef {{urls: string[], lan: boolean, warns: boolean}} Invitation
 */

/** @returns {Promise<Membership>} */
export async function join() {
  const token = location.hash.slice(1);
  let refusal = '';
  if (token) {
    // In the address the token would get into the history and into screenshots.
    history.replaceState(null, '', location.pathname + location.search);
    const response = await ask('/join', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token }),
    });
    if (!response.ok) refusal = UserError.answered('join', response.status, await response.text()).message;
  }
  // A device that has already joined needs no code, so an old code is no problem.
  const role = await roleNow();
  return { role, says: role ? '' : refusal || words.common.problems.notJoined };
}

/** Like `join`, for a page whose address may hold something other than a code: used only if this device has no role. */
export async function joinOnce() {
  const role = await roleNow();
  return role ? { role, says: '' } : join();
}

/** @returns {Promise<Membership['role']>} the role that this device already has */
async function roleNow() {
  return (await (await ask('/join')).json()).role;
}

/** For the host only. @returns {Promise<Invitation>} */
export async function invitation() {
  return (await ask('/api/join')).json();
}

/** Lets phones join, or no longer; for the host only. @param {boolean} lan @returns {Promise<Invitation>} */
export async function letJoin(lan) {
  const response = await ask('/api/join', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ lan }),
  });
  if (!response.ok) throw UserError.answered('door', response.status, await response.text());
  return response.json();
}

/** @param {string} path @param {RequestInit} [options] */
async function ask(path, options) {
  return fetch(path, options)
    .catch((error) => { throw new UserError(words.common.problems.serverGone, { cause: error }); });
}
