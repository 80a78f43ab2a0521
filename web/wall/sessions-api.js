// @ts-check
/** The live sessions: their list, and commands to one of them. */

import { words } from '../shared/i18n.js';
import { UserError } from '../shared/user-error.js';

/** @typedef {import('../shared/protocol.js').Command} Command */

/**
 * @typedef {object} Session
 * @property {string} id
 * @property {string} [giver] its device's name, such as “phone 1”
 * @property {[number, number] | null} size of its video, null before the first frame
 * @property {{state: 'on' | 'off' | 'stopped'}} recording
 */

/** @returns {Promise<Session[]>} the oldest first */
export async function sessions() {
  return (await ask('/api/sessions')).json();
}

/** @param {string} id @param {Command} change of the session's view, for all viewers */
export async function command(id, change) {
  await ask(`/api/sessions/${encodeURIComponent(id)}/command`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(change),
  });
}

/** @param {string} path @param {RequestInit} [options] */
async function ask(path, options) {
  const response = await fetch(path, options)
    .catch((error) => { throw new UserError(words.common.problems.serverGone, { cause: error }); });
  if (!response.ok) throw UserError.answered('command', response.status, await response.text());
  return response;
}
