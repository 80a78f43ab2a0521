// @ts-check
/** The server's models: the one that explains; for the host those on its computer, and the change to one of them. */

import { words } from '../i18n.js';
import { UserError } from '../user-error.js';

/** @typedef {{name: string, current: boolean, classes: number | null}} Listed `classes`: known for the current one */
/** @typedef {{models: Listed[], changing: string | null}} Models `changing`: the one that is being started */
/** @typedef {{name: string, classes: number, task: 'single-label' | 'multi-label', sha256: string}} Model the one that explains */

/** @returns {Promise<Model>} */
export async function currentModel() {
  return (await ask('/api/model')).json();
}

/** @returns {Promise<string[]>} the names of its classes, by number */
export async function classNames() {
  return (await ask('/api/labels')).json();
}

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
