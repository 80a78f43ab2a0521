// @ts-check
/** The server's models: the one that explains; for the host those on its computer, and the change to another one or map. */

import { words } from '../i18n.js';
import { UserError } from '../user-error.js';

/** @typedef {{method: string, layer: string}} MapChoice */
/** @typedef {MapChoice & {grid: [number, number], current: boolean}} ListedMap `grid`: rows and columns */
/** @typedef {{name: string, current: boolean, classes: number | null}} Listed `classes`: known for the current one */
/**
 * `changing`: the one that is being started; `maps`: of the current one.
 *
 * @typedef {{models: Listed[], changing: string | null, maps: ListedMap[]}} Models
 */
/**
 * The one that explains; `signed`: the difference of two classes can be drawn.
 *
 * @typedef {{name: string, classes: number, task: 'single-label' | 'multi-label', sha256: string, maps: ListedMap[],
 *   signed: boolean}} Model
 */

/** @returns {Promise<Model>} */
export async function currentModel() {
  return (await ask('/api/model')).json();
}

/** @typedef {{class: number, label: string}} NamedClass */

/** @returns {Promise<NamedClass[]>} the classes that sessions have now: the model's own, or those that were taught */
export async function namedClasses() {
  return (await ask('/api/classes')).json();
}

/** @returns {Promise<Models>} */
export async function models() {
  return (await ask('/api/models')).json();
}

/**
 * Answers when all sessions use the model and map, which takes as long as it takes to load.
 *
 * @param {{name: string, map?: MapChoice}} wanted
 * @returns {Promise<Model>}
 */
export async function changeModel({ name, map }) {
  const response = await ask('/api/model', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(map ? { name, map: { method: map.method, layer: map.layer } } : { name }),
  });
  return response.json();
}

/** What is said while a model, or another map of the current one, is being started. @param {string} changing @param {string} current */
export function loading(changing, current) {
  return changing === current ? words.common.maps.loads : words.common.modelLoads(changing);
}

/** @param {string} path @param {RequestInit} [options] */
async function ask(path, options) {
  const response = await fetch(path, options)
    .catch((error) => { throw new UserError(words.common.problems.serverGone, { cause: error }); });
  if (!response.ok) throw UserError.answered('model', response.status, await response.text());
  return response;
}
