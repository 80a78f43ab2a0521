// @ts-check
/**
 * The camera's picture in place of the explained one: a tap switches, a long press compares. While the picture is frozen,
 * it is the frozen frame.
 */

import { FrozenPicture } from '../../shared/frozen-picture.js';

/** @typedef {import('../../shared/protocol.js').Report} Report */

/** A press of at least this length is a long press. */
const LONG_PRESS_MS = 220;

export class Peek {
  /**
   * @param {HTMLButtonElement} button as large as the picture
   * @param {HTMLVideoElement} camera covers the explained picture
   * @param {HTMLImageElement} still covers both
   * @param {(camera: boolean) => void} changed
   */
  constructor(button, camera, still, changed) {
    this.button = button;
    this.camera = camera;
    this.frozen = new FrozenPicture(still, () => changed(this.on));
    this.changed = changed;
    this.holding = false;
    /** @type {number | undefined} */
    let timer;
    button.addEventListener('pointerdown', () => {
      timer = setTimeout(() => {
        this.holding = true;
        this.#show(true);
      }, LONG_PRESS_MS);
    });
    for (const event of ['pointerup', 'pointercancel', 'pointerleave']) {
      button.addEventListener(event, () => {
        clearTimeout(timer);
        if (!this.holding) return;
        this.#show(false);
        // the click that follows belongs to the long press
        setTimeout(() => { this.holding = false; });
      });
    }
    button.addEventListener('click', () => { if (!this.holding) this.#show(!this.on); });
    button.addEventListener('contextmenu', (event) => event.preventDefault());
  }

  get on() { return this.button.getAttribute('aria-pressed') === 'true'; }

  /** @param {MediaStreamTrack | null} track the camera's own track, without the server's latency */
  watch(track) {
    this.camera.srcObject = track && new MediaStream([track]);
    if (track) void this.camera.play().catch(() => {}); // play() rejects while the page unloads
    this.frozen.show(null);
    this.#show(false);
  }

  /** What is seen of the camera. */
  get picture() { return this.frozen.shown ? this.frozen.image : this.camera; }

  /** Shows the frozen frame, or none. @param {Report | null} report */
  show(report) {
    this.frozen.show(report);
  }

  /** @param {boolean} on */
  #show(on) {
    this.button.setAttribute('aria-pressed', String(on));
    this.changed(on);
  }
}
