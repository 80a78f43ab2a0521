// @ts-check
/** Live teaching: the classes that people teach with their own things, for all sessions of a server (docs/api.md). */

import { words } from '../i18n.js';
import { UserError } from '../user-error.js';

/** `own`: the model's own classes are shown, `taught`: those that were taught. @typedef {'own' | 'taught'} Shows */
/**
 * `latest`: ids of its last examples, the newest at the end; `removable`: those of them that this device may remove;
 * `givers`: examples by who gave them, `host` or a session's name.
 *
 * @typedef {{class: number, name: string, examples: number, holdings: number, latest: number[], removable: number[],
 *   givers: Record<string, number>}} TaughtClass
 */
/**
 * `possible`: the model's last layer can be replaced, if not, `says` why; `warning`: why kept examples are not used; `phones`: phones may teach; `class_set`: null
 * until two classes have examples; `accuracy`: of examples that were kept out, null if there are too few.
 *
 * @typedef {object} Teaching
 * @property {boolean} possible
 * @property {string} says
 * @property {string} warning
 * @property {boolean} phones
 * @property {Shows} shows
 * @property {string | null} class_set
 * @property {TaughtClass[]} classes
 * @property {{share: number, tested: number} | null} accuracy
 * @property {{what: string, class: string | null, count: number} | null} undo what would be taken back
 * @property {{classes: number, examples: number, name: number}} limits
 */
/** An example that was taken for another class when it was kept out. @typedef {{example: number, class: number, taken_for: number, probability: number}} Mistake */
/**
 * Where the heat of a class is on average: its shares at the border and in the middle, and rows of a grid, each 0…1.
 *
 * @typedef {{class: number, border: number, middle: number, grid: number[][], examples: number, suspicious: boolean}} Place
 */

const BASE = '/api/teaching';

/** @returns {Promise<Teaching>} */
export async function teaching() {
  return (await ask('teach', BASE)).json();
}

/** @param {{shows?: Shows, phones?: boolean, undo?: true, clear?: true}} wanted for the host only @returns {Promise<Teaching>} */
export async function changeTeaching(wanted) {
  return (await ask('teach', BASE, posted(wanted))).json();
}

/** @param {string} name @returns {Promise<number>} the number of the new class */
export async function addClass(name) {
  return (await (await ask('teach', `${BASE}/classes`, posted({ name }))).json()).class;
}

/** @param {number} number @param {string} name */
export async function renameClass(number, name) {
  await ask('teach', `${BASE}/classes/${number}`, posted({ name }));
}

/** @param {number} number */
export async function removeClass(number) {
  await ask('teach', `${BASE}/classes/${number}`, { method: 'DELETE' });
}

/** @param {number} example */
export async function removeExample(example) {
  await ask('example', `${BASE}/examples/${example}`, { method: 'DELETE' });
}

/** @returns {Promise<Mistake[]>} the surest first */
export async function mistakes() {
  return (await ask('teach', `${BASE}/wrong`)).json();
}

/** Answers after a moment, because each class's examples are explained. @returns {Promise<Place[]>} */
export async function places() {
  return (await ask('teach', `${BASE}/places`)).json();
}

/** @param {string} name @param {boolean} keep whether the examples, too @returns {Promise<string>} the name of the model on the server's computer */
export async function saveTaught(name, keep) {
  return (await (await ask('taught', `${BASE}/save`, posted({ name, keep }))).json()).name;
}

/** The URL of an example's picture. @param {number} example */
export function pictureOf(example) {
  return `${BASE}/examples/${example}.jpg`;
}

/** The URL of an example's picture with the heat of a class as it is taught now. @param {number} example @param {number} number @param {string} classSet */
export function heatOf(example, number, classSet) {
  return `${BASE}/examples/${example}/heat.jpg?class=${number}&of=${encodeURIComponent(classSet)}`; // another set, another picture
}

/** @param {object} body @returns {RequestInit} */
function posted(body) {
  return { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
}

/** @param {import('../user-error.js').Asked} asked @param {string} path @param {RequestInit} [options] */
async function ask(asked, path, options) {
  const response = await fetch(path, options)
    .catch((error) => { throw new UserError(words.common.problems.serverGone, { cause: error }); });
  if (!response.ok) throw UserError.answered(asked, response.status, await response.text());
  return response;
}
