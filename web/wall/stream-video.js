// @ts-check
/** A video element and its viewer, which reconnects when it breaks. */

import { made } from '../shared/dom.js';
import { UserError } from '../shared/user-error.js';
import { WhepViewer } from '../shared/whep.js';

/** @typedef {import('../shared/protocol.js').Report} Report */

const AGAIN_MS = [300, 1000, 2000, 4000];

export class StreamVideo {
  /**
   * @param {HTMLElement} parent
   * @param {string} session
   * @param {'explained' | 'camera'} stream
   * @param {string} label
   * @param {{report: (report: Report) => void, changed: () => void}} listener
   */
  constructor(parent, session, stream, label, listener) {
    this.session = session;
    this.stream = stream;
    this.listener = listener;
    /** @type {'resting' | 'connecting' | 'seen' | 'broken'} */
    this.state = 'resting';
    this.problem = '';
    this.tries = 0;
    /** @type {WhepViewer | null} */
    this.viewer = null;
    /** @type {number | undefined} */
    this.timer = undefined;
    this.video = parent.appendChild(made('video', stream));
    this.video.muted = this.video.autoplay = this.video.playsInline = true;
    this.video.disablePictureInPicture = true;
    this.video.setAttribute('aria-label', label);
    this.video.hidden = true;
    this.video.addEventListener('resize', () => listener.changed());
  }

  /** @returns {[number, number] | null} */
  get size() {
    return this.video.videoWidth ? [this.video.videoWidth, this.video.videoHeight] : null;
  }

  /** Reports each frame on screen, where the browser says which it is. @param {(metadata: VideoFrameCallbackMetadata) => void} shown */
  eachFrame(shown) {
    const { video } = this;
    if (!('requestVideoFrameCallback' in video)) return;
    /** @type {VideoFrameRequestCallback} */
    const each = (_, metadata) => {
      shown(metadata);
      video.requestVideoFrameCallback(each);
    };
    video.requestVideoFrameCallback(each);
  }

  run() {
    if (this.state !== 'resting') return;
    this.tries = 0;
    this.video.hidden = false;
    void this.#dial();
  }

  rest() {
    if (this.state === 'resting') return;
    clearTimeout(this.timer);
    this.viewer?.close();
    this.viewer = null;
    this.video.srcObject = null;
    this.video.hidden = true;
    this.#become('resting', '');
  }

  async #dial() {
    this.#become(this.tries ? 'broken' : 'connecting', this.problem);
    const viewer = new WhepViewer(this.video, this.session, this.stream, {
      report: this.listener.report,
      seen: () => { this.tries = 0; this.#become('seen', ''); },
      over: (problem) => this.#again(problem),
    });
    this.viewer = viewer;
    try {
      await viewer.open();
    } catch (error) {
      if (this.viewer === viewer) this.#again(UserError.of(error));
    }
  }

  /** @param {UserError} problem */
  #again(problem) {
    this.viewer = null;
    // The first failure may be a session's end or a short network problem; only a lasting problem is shown.
    this.#become('broken', this.tries ? problem.message : '');
    this.timer = setTimeout(() => void this.#dial(), AGAIN_MS[Math.min(this.tries, AGAIN_MS.length - 1)]);
    this.tries += 1;
  }

  /** @param {'resting' | 'connecting' | 'seen' | 'broken'} state @param {string} problem */
  #become(state, problem) {
    this.state = state;
    this.problem = problem;
    this.video.dataset.state = state;
    this.listener.changed();
  }
}
