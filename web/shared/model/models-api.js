// @ts-check
/** The server's models, for the host: those on its computer, and the change to one of them for all sessions. */

import { words } from '../i18n.js';
import { UserError } from '../user-error.js';

/** @typedef {{name: string, current: boolean, classes: number | null}} Listed `classes`: known for the current one */
/** @typedef {{models: Listed[], changing: string | null}} Models `changing`: the one that is being started */
/** @typedef {{name: string, classes: number, sha256: string}} Model all that the server tells of a model */

/** @returns {Promise<Models>} */
export async function models() {
  return (await ask('/api/models')).json();
}

/** Answers when all sessions use the model, which takes as long as it takes to load. @param {string} name @returns {Promise<Model>} */
export async function changeModel(name) {
  const response = await ask('/api/model', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ name }),
  });
  return response.json();
}

/** @param {string} path @param {RequestInit} [options] */
async function ask(path, options) {
  const response = await fetch(path, options)
    .catch((error) => { throw new UserError(words.common.problems.serverGone, { cause: error }); });
  if (!response.ok) throw UserError.answered('model', response.status, await response.text());
  return response;
}
