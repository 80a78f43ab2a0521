// @ts-check
/** The camera as a source of a call; film.js is the other one. */

import { Problem, words } from './words.js';

/**
 * Where a call's pictures come from.
 *
 * @typedef {object} Source
 * @property {MediaStreamTrack} track
 * @property {{width: number, height: number}} size of the track's pictures now
 * @property {string} name for the person
 * @property {Promise<'done' | 'broken'>} over settles when no more pictures come: a file's end, a camera that was unplugged
 * @property {() => void} start called once the call stands; a file begins to play
 * @property {() => void} close
 */

/** @returns {Promise<Source>} the rear camera on a phone */
export async function openCamera() {
  // Browsers hide mediaDevices from pages that are not secure.
  if (!navigator.mediaDevices) throw new Problem(window.isSecureContext ? words.problems.noCalls : words.problems.insecure);
  const stream = await navigator.mediaDevices
    .getUserMedia({
      audio: false,
      video: {
        facingMode: { ideal: 'environment' },
        width: { ideal: 640 },
        height: { ideal: 480 },
        frameRate: { ideal: 30 },
      },
    })
    .catch((error) => { throw new Problem(sentence(error), { cause: error }); });

  const [track] = stream.getVideoTracks();
  const { width = 640, height = 480 } = track.getSettings();
  return {
    track,
    size: { width, height },
    name: words.camera,
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
      return words.problems.refused;
    case 'NotFoundError':
    case 'OverconstrainedError':
      return words.problems.noCamera;
    case 'NotReadableError':
    case 'AbortError':
      return words.problems.inUse;
    default:
      return words.problems.cameraOther(error.message || error.name);
  }
}
