// @ts-check
/** The server's films API (docs/api.md). */

import { words } from '../../shared/i18n.js';
import { UserError } from '../../shared/user-error.js';

/**
 * @typedef {object} Film
 * @property {string} id
 * @property {string} name
 * @property {number} bytes
 * @property {'uploading' | 'waiting' | 'explaining' | 'done' | 'failed'} state
 * @property {number} received bytes
 * @property {number} frames explained so far
 * @property {number} expected frames; 0 if unknown
 * @property {string | null} recording
 * @property {string} problem
 * @property {string | null} code of the problem
 *
 * @typedef {{possible: boolean, max_bytes: number, films: Film[]}} Films oldest first
 */

const PATH = '/api/films';

/** @returns {Promise<Films>} */
export async function films() {
  return (await ask(PATH)).json();
}

/** @param {string} id */
export async function cancel(id) {
  await ask(`${PATH}/${encodeURIComponent(id)}`, { method: 'DELETE' });
}

/**
 * Sends a file. `fetch` does not say how much has gone, so this is a request of the older kind.
 *
 * @param {File} file
 * @param {(sent: number) => void} progress
 * @param {AbortSignal} signal
 * @returns {Promise<Film>}
 */
export function upload(file, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', `${PATH}?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.upload.addEventListener('progress', ({ loaded }) => progress(loaded));
    request.addEventListener('load', () => {
      if (request.status === 201) resolve(JSON.parse(request.responseText));
      else reject(UserError.answered('film', request.status, request.responseText));
    });
    request.addEventListener('error', () => reject(new UserError(words.phone.films.notSent(file.name))));
    request.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
    signal.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}

/** @param {string} path @param {RequestInit} [options] */
async function ask(path, options) {
  const response = await fetch(path, options)
    .catch((error) => { throw new UserError(words.common.problems.serverGone, { cause: error }); });
  if (!response.ok) throw UserError.answered('film', response.status, await response.text());
  return response;
}
