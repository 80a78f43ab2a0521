// @ts-check
/** Signalling is one POST with a complete offer, so ICE candidates are gathered first (docs/api.md). */

import { words } from './i18n.js';
import { UserError } from './user-error.js';

const GATHERING_MS = 2000;
/** Until a browser with no candidate counts as one without a network; none of them says that it has finished. */
const NO_CANDIDATE_MS = 3000;
const ANSWER_MS = 15000;
/** Names of the computer that serves the page. */
const HERE = ['localhost', '127.0.0.1', '[::1]'];

/**
 * Creates the offer and gathers candidates; rejects with a `UserError` if there is none, as in a computer without network.
 *
 * @param {RTCPeerConnection} connection with its tracks and channels
 */
export async function prepare(connection) {
  await connection.setLocalDescription(await connection.createOffer());
  await gathered(connection);
  if (!hasCandidate(connection)) throw noCandidate();
}

/** The error of a browser that offers no network path: Firefox's connection fails for it before there is an answer. */
export function noCandidate() {
  const { problems } = words.common;
  return new UserError(HERE.includes(location.hostname) ? problems.noNetwork : problems.noCandidate);
}

/**
 * Sends a prepared connection's offer to the server.
 *
 * @param {RTCPeerConnection} connection
 * @param {string} path
 * @param {'call' | 'watch'} asked
 * @returns {Promise<{location: string, answer: string}>} the URL that ends it, and the SDP answer
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

/** Ends the call or viewer at a location. @param {string} location */
export function hangUp(location) {
  // keepalive lets the request outlive the page; errors of an unreachable server do not matter.
  fetch(location, { method: 'DELETE', keepalive: true }).catch(() => {});
}

/** @param {RTCPeerConnection} connection */
function hasCandidate(connection) {
  return !!connection.localDescription?.sdp.includes('a=candidate:');
}

/**
 * @param {RTCPeerConnection} connection
 * @returns {Promise<void>} when gathering is complete, or after two seconds with the candidates so far (none: three)
 */
function gathered(connection) {
  return new Promise((resolve) => {
    const look = () => { if (connection.iceGatheringState === 'complete') resolve(); };
    connection.addEventListener('icegatheringstatechange', look);
    // a closed connection has no description, and Firefox refuses to be asked for it
    setTimeout(() => { if (connection.signalingState !== 'closed' && hasCandidate(connection)) resolve(); }, GATHERING_MS);
    setTimeout(resolve, NO_CANDIDATE_MS);
    look();
  });
}
