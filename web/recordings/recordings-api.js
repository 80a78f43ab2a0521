// @ts-check
/** The server's recordings API (docs/api.md), and the URLs of files. */

import { words } from '../shared/i18n.js';
import { UserError } from '../shared/user-error.js';

/**
 * @typedef {object} Segment part of both films, between two changes of size
 * @property {string | null} camera
 * @property {string | null} explained
 * @property {number} begins s, on the recording's clock
 * @property {number} seconds
 * @property {[number, number]} size
 *
 * @typedef {object} Recording
 * @property {string} id the folder's name
 * @property {string} session the same for the parts of one session
 * @property {string} began ISO 8601
 * @property {number} seconds
 * @property {'recording' | 'finished' | 'cut off'} state
 * @property {string | null} live the running session, which can be watched
 * @property {string} model empty if unknown
 * @property {string | null} film the name of an uploaded film; null for a live recording
 * @property {string} reason why it stopped before its session did, or empty
 * @property {string | null} code of the reason
 * @property {{label: string, share: number}[]} labels share of the frames in which each was the best
 * @property {number} bytes
 * @property {Segment[]} segments
 * @property {{name: string, bytes: number}[]} files
 * @property {number[]} pictures times of key frames
 *
 * @typedef {object} Course the probabilities over a recording's time
 * @property {number[]} times s
 * @property {{class: number, label: string, scores: (number | null)[]}[]} classes null where a class was not among those
 *   that the sidecar lists for the frame
 */

/** @returns {Promise<Recording[]>} newest first */
export async function recordings() {
  return (await ask('/api/recordings')).json();
}

/** @param {string} id @returns {Promise<Recording>} */
export async function recording(id) {
  return (await ask(pathOf(id))).json();
}

/** @param {string} id @returns {Promise<Course>} */
export async function course(id) {
  return (await ask(`${pathOf(id)}/timeline`)).json();
}

/** Deletes a recording; it can be restored for ten minutes. @param {string} id */
export async function remove(id) {
  await ask(pathOf(id), { method: 'DELETE' });
}

/** @param {string} id */
export async function restore(id) {
  await ask(`${pathOf(id)}/restore`, { method: 'POST' });
}

/** @param {string} id @param {string} name */
export function fileOf(id, name) {
  return `${pathOf(id)}/files/${encodeURIComponent(name)}`;
}

/** @param {string} id @param {number} seconds */
export function pictureOf(id, seconds) {
  return `${pathOf(id)}/pictures/${seconds}.jpg`;
}

/** @param {string} id */
export function zipOf(id) {
  return `${pathOf(id)}.zip`;
}

/** @param {string} id */
function pathOf(id) {
  return `/api/recordings/${encodeURIComponent(id)}`;
}

/** @param {string} path @param {RequestInit} [options] */
async function ask(path, options) {
  const response = await fetch(path, options)
    .catch((error) => { throw new UserError(words.common.problems.serverGone, { cause: error }); });
  if (!response.ok) throw UserError.answered('recordings', response.status, await response.text());
  return response;
}
