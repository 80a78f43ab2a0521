// @ts-check
/** One POST makes a call or a viewer: the offer is complete, so its candidates are waited for first (docs/api.md). */

import { words } from './i18n.js';
import { UserError } from './user-error.js';

const GATHERING_MS = 2000;
const ANSWER_MS = 15000;

/** Makes the offer complete. @param {RTCPeerConnection} connection with all that is to be in it */
export async function prepare(connection) {
  await connection.setLocalDescription(await connection.createOffer());
  await gathered(connection);
}

/**
 * Offers a prepared connection to the server.
 *
 * @param {RTCPeerConnection} connection
 * @param {string} path
 * @param {'call' | 'watch'} asked
 * @returns {Promise<{location: string, answer: string}>} where it can be ended, and the server's answer
 */
export async function offer(connection, path, asked) {
  const response = await fetch(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/sdp' },
    body: connection.localDescription?.sdp,
    signal: AbortSignal.timeout(ANSWER_MS),
  }).catch((error) => { throw new UserError(words.common.problems.serverGone, { cause: error }); });
  const answer = await response.text();
  if (response.status !== 201) throw UserError.answered(asked, response.status, answer);
  return { location: response.headers.get('Location') ?? '', answer };
}

/** @param {RTCPeerConnection} connection @param {string} answer */
export async function take(connection, answer) {
  await connection.setRemoteDescription({ type: 'answer', sdp: answer })
    .catch((error) => { throw new UserError(words.common.problems.badAnswer, { cause: error }); });
}

/** Ends what a location names. @param {string} location */
export function hangUp(location) {
  // keepalive lets the request outlive the page; a server that is gone needs no goodbye.
  fetch(location, { method: 'DELETE', keepalive: true }).catch(() => {});
}

/**
 * @param {RTCPeerConnection} connection
 * @returns {Promise<void>} when all candidates are in the offer, or after two seconds with those there are
 */
function gathered(connection) {
  return new Promise((resolve) => {
    const look = () => { if (connection.iceGatheringState === 'complete') resolve(); };
    connection.addEventListener('icegatheringstatechange', look);
    setTimeout(resolve, GATHERING_MS);
    look();
  });
}
