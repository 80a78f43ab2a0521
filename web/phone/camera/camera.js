// @ts-check
/** The camera as a call's source, and its controls during the call; file-source.js is the other source. */

import { words } from '../../shared/i18n.js';
import { UserError } from '../../shared/user-error.js';

/**
 * The source of a call's frames.
 *
 * @typedef {object} Source
 * @property {MediaStreamTrack} track
 * @property {{width: number, height: number}} size of the track's frames now
 * @property {number} most pixels sent per frame; larger frames are scaled down
 * @property {Promise<'done' | 'broken'>} over settles when no more frames arrive: a file's end, an unplugged camera
 * @property {() => void} start called when the call is connected; a file then plays
 * @property {() => void} close
 */

/** Sizes to request. The server answers at most Baseline H.264 level 3.1, whose limit is 1280x720. */
export const SIZES = { '480p': { width: 640, height: 480 }, '720p': { width: 1280, height: 720 } };

/** Live video can be smaller than a film. */
export const MOST_PIXELS = 960 * 640;

/** The parts of a camera track that TypeScript does not know. @typedef {{torch?: boolean, zoom?: Zoom}} Optics */
/** @typedef {{min: number, max: number, step: number}} Zoom */

/** @implements {Source} */
export class Camera {
  /** @param {{width: number, height: number}} wanted */
  constructor(wanted) {
    this.wanted = wanted;
    this.most = Math.max(MOST_PIXELS, wanted.width * wanted.height);
    this.closed = false;
    /** @type {(how: 'broken') => void} */
    this.broke = () => {};
    /** @type {Promise<'broken'>} */
    this.over = new Promise((resolve) => { this.broke = resolve; });
    this.track = /** @type {MediaStreamTrack} */ (/** @type {unknown} */ (null));
  }

  /** @param {{width: number, height: number}} wanted @returns {Promise<Camera>} the rear camera on a phone */
  static async open(wanted) {
    const camera = new Camera(wanted);
    await camera.#use({ facingMode: { ideal: 'environment' } });
    return camera;
  }

  get size() {
    const { width = this.wanted.width, height = this.wanted.height } = this.track.getSettings();
    return { width, height };
  }

  get id() { return this.track.getSettings().deviceId ?? ''; }

  /** The zoom range and whether there is a torch. @returns {Optics} */
  get optics() {
    return /** @type {Optics} */ (this.track.getCapabilities?.() ?? {}); // Firefox has none
  }

  /** All cameras; available after the person has allowed one. @returns {Promise<{id: string, name: string}[]>} */
  async all() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter(({ kind, deviceId }) => kind === 'videoinput' && deviceId)
      .map(({ deviceId, label }, i) => ({ id: deviceId, name: label || words.phone.cameraNumber(i + 1) }));
  }

  /** Switches to the camera on the other side, or to the next one if sides are unknown. */
  async turn() {
    const { facingMode } = this.track.getSettings();
    if (facingMode === 'environment' || facingMode === 'user') {
      return this.#change({ facingMode: { exact: facingMode === 'user' ? 'environment' : 'user' } });
    }
    const all = await this.all();
    const next = all[(all.findIndex(({ id }) => id === this.id) + 1) % all.length];
    return this.choose(next?.id ?? this.id);
  }

  /** @param {string} id */
  async choose(id) {
    return this.#change({ deviceId: { exact: id } });
  }

  /** @param {boolean} on */
  async light(on) {
    await this.#adjust({ torch: on });
  }

  /** @param {number} factor */
  async zoom(factor) {
    await this.#adjust({ zoom: factor });
  }

  start() {}

  close() {
    this.closed = true;
    this.track?.stop();
  }

  /** @param {Record<string, unknown>} constraint */
  async #adjust(constraint) {
    await this.track.applyConstraints(/** @type {MediaTrackConstraints} */ ({ advanced: [constraint] }));
  }

  /** @param {MediaTrackConstraints} which */
  async #change(which) {
    const { id } = this;
    this.track.stop(); // a phone opens one camera at a time
    try {
      await this.#use(which);
    } catch (error) {
      // Back to the former camera, so that the call continues.
      await this.#use({ deviceId: { exact: id } }).catch(() => this.broke('broken'));
      throw error;
    }
  }

  /** @param {MediaTrackConstraints} which */
  async #use(which) {
    // Browsers hide mediaDevices from insecure pages.
    const { noCalls, insecure } = words.common.problems;
    if (!navigator.mediaDevices) throw new UserError(window.isSecureContext ? noCalls : insecure);
    const stream = await navigator.mediaDevices
      .getUserMedia({
        audio: false,
        video: {
          ...which,
          width: { ideal: this.wanted.width },
          height: { ideal: this.wanted.height },
          frameRate: { ideal: 30 },
        },
      })
      .catch((error) => { throw new UserError(sentence(error), { cause: error }); });
    const [track] = stream.getVideoTracks();
    this.track = track;
    if (this.closed) return track.stop();
    track.addEventListener('ended', () => { if (this.track === track) this.broke('broken'); });
  }
}

/** @param {DOMException} error */
function sentence(error) {
  const { refused, noCamera, inUse, cameraOther } = words.phone.problems;
  switch (error.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return refused;
    case 'NotFoundError':
    case 'OverconstrainedError':
      return noCamera;
    case 'NotReadableError':
    case 'AbortError':
      return inUse;
    default:
      return cameraOther(error.message || error.name);
  }
}
