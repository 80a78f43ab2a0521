// @ts-check
/** The camera as a source of a call; film.js is the other one. */

import { Problem } from './problem.js';
import { words } from './words.js';

/**
 * Where a call's pictures come from.
 *
 * @typedef {object} Source
 * @property {MediaStreamTrack} track
 * @property {{width: number, height: number}} size of the track's pictures now
 * @property {number} most pixels that are sent of a picture; a larger one is scaled down
 * @property {string} name for the person
 * @property {Promise<'done' | 'broken'>} over settles when no more pictures come: a file's end, a camera that was unplugged
 * @property {() => void} start called once the call stands; a file begins to play
 * @property {() => void} close
 */

/** What a camera can be asked for. Baseline H.264 at level 3.1, the most that the server answers, ends at 1280x720. */
export const SIZES = { '480p': { width: 640, height: 480 }, '720p': { width: 1280, height: 720 } };

/** A live picture need not be as large as a film. */
export const MOST_PIXELS = 960 * 640;

/**
 * @param {{width: number, height: number}} wanted
 * @returns {Promise<Source>} the rear camera on a phone
 */
export async function openCamera(wanted) {
  // Browsers hide mediaDevices from pages that are not secure.
  if (!navigator.mediaDevices) throw new Problem(window.isSecureContext ? words.common.problems.noCalls : words.common.problems.insecure);
  const stream = await navigator.mediaDevices
    .getUserMedia({
      audio: false,
      video: {
        facingMode: { ideal: 'environment' },
        width: { ideal: wanted.width },
        height: { ideal: wanted.height },
        frameRate: { ideal: 30 },
      },
    })
    .catch((error) => { throw new Problem(sentence(error), { cause: error }); });

  const [track] = stream.getVideoTracks();
  const { width = wanted.width, height = wanted.height } = track.getSettings();
  return {
    track,
    size: { width, height },
    most: Math.max(MOST_PIXELS, wanted.width * wanted.height),
    name: words.phone.camera,
    over: new Promise((resolve) => { track.addEventListener('ended', () => resolve('broken')); }),
    start() {},
    close() { track.stop(); },
  };
}

/** @param {DOMException} error */
function sentence(error) {
  switch (error.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return words.phone.problems.refused;
    case 'NotFoundError':
    case 'OverconstrainedError':
      return words.phone.problems.noCamera;
    case 'NotReadableError':
    case 'AbortError':
      return words.phone.problems.inUse;
    default:
      return words.phone.problems.cameraOther(error.message || error.name);
  }
}
