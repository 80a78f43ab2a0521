// @ts-check
/** A video file as a call's source: it plays once, hidden, and its frames are sent like a camera's. */

import { words } from '../../shared/i18n.js';
import { UserError } from '../../shared/user-error.js';
import { MOST_PIXELS } from './camera.js';

/** @typedef {import('./camera.js').Source} Source */
/** @typedef {() => MediaStream} Capture */
/** @typedef {HTMLVideoElement & {captureStream?: Capture, mozCaptureStream?: Capture}} Capturable */

/** The last explained frames are still in flight when the file ends. */
const LAST_FRAMES_MS = 500;

/**
 * @param {File} file
 * @returns {Promise<Source>}
 */
export async function openFile(file) {
  const video = /** @type {Capturable} */ (document.createElement('video'));
  const capture = video.captureStream ?? video.mozCaptureStream;
  if (!capture) throw new UserError(words.phone.problems.noCapture);

  const url = URL.createObjectURL(file);
  const close = () => {
    video.pause();
    video.removeAttribute('src');
    video.load();
    video.remove();
    URL.revokeObjectURL(url);
  };
  try {
    video.className = 'film'; // in the page, though hidden: browsers throttle a detached video
    video.muted = true;
    video.playsInline = true;
    video.src = url;
    document.body.append(video);
    await readable(video, file.name);
    const track = await firstTrack(capture.call(video), video);
    return {
      track,
      size: { width: video.videoWidth, height: video.videoHeight },
      most: MOST_PIXELS,
      over: new Promise((resolve) => {
        video.addEventListener('ended', () => setTimeout(resolve, LAST_FRAMES_MS, 'done'));
        video.addEventListener('error', () => resolve('broken'));
      }),
      start() { void video.play(); },
      close() { track.stop(); close(); },
    };
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * @param {HTMLVideoElement} video
 * @param {string} name
 * @returns {Promise<void>}
 */
function readable(video, name) {
  return new Promise((resolve, reject) => {
    const fail = () => reject(new UserError(words.phone.problems.unreadableFile(name)));
    // An audio-only file loads too, with no size.
    video.addEventListener('loadeddata', () => (video.videoWidth ? resolve() : fail()), { once: true });
    video.addEventListener('error', fail, { once: true });
  });
}

/**
 * Chromium's stream has its track immediately, Firefox's only when the video plays.
 *
 * @param {MediaStream} stream
 * @param {HTMLVideoElement} video
 * @returns {Promise<MediaStreamTrack>}
 */
async function firstTrack(stream, video) {
  if (!stream.getVideoTracks().length) {
    const added = new Promise((resolve) => { stream.addEventListener('addtrack', resolve, { once: true }); });
    await video.play();
    if (!stream.getVideoTracks().length) await added;
    video.pause();
    video.currentTime = 0;
  }
  return stream.getVideoTracks()[0];
}
