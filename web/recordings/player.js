// @ts-check
/**
 * Plays both films of a recording in step: the camera's film leads, the explained one follows.
 *
 * Times are on the recording's clock. A recording whose camera was turned has several segments; each has its own files,
 * whose times start at 0.
 */

/** @typedef {import('./recordings-api.js').Segment} Segment */

/** A drift above `JUMP_S` makes the follower seek, one above `SEEN_S` changes its speed; less is invisible. */
const JUMP_S = 0.3;
const SEEN_S = 0.03;
const HURRY = 0.08;
const COMPARE_MS = 150;

/**
 * @typedef {object} Watching
 * @property {() => void} moved another frame is on screen
 * @property {() => void} changed it plays or is paused, or has other films
 * @property {(film: string) => void} unplayable the browser cannot play this file
 */

export class Player {
  /**
   * @param {HTMLVideoElement} camera
   * @param {HTMLVideoElement} explained
   * @param {Watching} listener
   */
  constructor(camera, explained, listener) {
    this.camera = camera;
    this.explained = explained;
    this.listener = listener;
    /** @type {Segment[]} */
    this.segments = [];
    this.index = -1;
    this.rate = 1;
    this.playing = false;
    /** The time of the newest frame of the camera's film that was shown, in its segment's seconds. */
    this.pictured = 0;
    /** @type {(name: string) => string} */
    this.urlOf = (name) => name;
    for (const film of [camera, explained]) {
      film.muted = true;
      film.playsInline = true;
      film.preload = 'auto';
      film.addEventListener('error', () => { if (film.getAttribute('src')) listener.unplayable(film.dataset.name ?? ''); });
      film.addEventListener('loadeddata', () => this.#moved());
    }
    camera.addEventListener('ended', () => this.#ended());
    camera.addEventListener('seeked', () => this.#moved());
    camera.addEventListener('timeupdate', () => { if (!('requestVideoFrameCallback' in camera)) this.#moved(); });
    this.timer = setInterval(() => this.#follow(), COMPARE_MS);
    this.#watch();
  }

  /** @param {Segment[]} segments @param {(name: string) => string} urlOf */
  open(segments, urlOf) {
    this.pause();
    this.segments = segments.filter((segment) => segment.camera || segment.explained);
    this.urlOf = urlOf;
    this.index = -1;
    if (this.segments.length) this.seek(0);
  }

  close() {
    this.pause();
    this.segments = [];
    this.index = -1;
    for (const film of [this.camera, this.explained]) {
      film.removeAttribute('src');
      film.load();
    }
  }

  get segment() {
    return this.segments[this.index] ?? null;
  }

  /** The position on the recording's clock, in seconds. */
  get time() {
    return this.segment ? this.segment.begins + this.#leader.currentTime : 0;
  }

  /** The time of the frame on screen; while films play, their clock is slightly ahead of it. */
  get frameTime() {
    const reported = this.playing && this.segment?.camera && 'requestVideoFrameCallback' in this.camera;
    return this.segment && reported ? this.segment.begins + this.pictured : this.time;
  }

  get seconds() {
    const last = this.segments[this.segments.length - 1];
    return last ? last.begins + last.seconds : 0;
  }

  play() {
    if (!this.segments.length) return;
    if (this.time >= this.seconds - 0.05) this.seek(0);
    this.playing = true;
    this.#start();
    this.listener.changed();
  }

  pause() {
    this.playing = false;
    this.camera.pause();
    this.explained.pause();
    this.listener.changed();
    this.#align();
  }

  /** @param {number} time on the recording's clock */
  seek(time) {
    const wanted = Math.max(0, Math.min(time, this.seconds));
    let index = this.segments.length - 1;
    while (index > 0 && this.segments[index].begins > wanted) index -= 1;
    const segment = this.segments[index];
    if (!segment) return;
    const local = Math.max(0, Math.min(wanted - segment.begins, segment.seconds));
    if (index !== this.index) this.#load(index);
    this.camera.currentTime = this.explained.currentTime = this.pictured = local;
    this.listener.moved();
  }

  /** @param {number} rate */
  hurry(rate) {
    this.rate = rate;
    this.camera.playbackRate = this.explained.playbackRate = rate;
  }

  /** The camera's film, or the explained one if there is none. */
  get #leader() {
    return this.segment?.camera ? this.camera : this.explained;
  }

  /** @param {number} index */
  #load(index) {
    this.index = index;
    const { camera, explained, size } = this.segments[index];
    for (const [film, name] of /** @type {[HTMLVideoElement, string | null][]} */ ([[this.camera, camera], [this.explained, explained]])) {
      film.dataset.name = name ?? '';
      film.style.setProperty('--aspect', String(size[0] / size[1]));
      if (name) film.src = this.urlOf(name);
      else film.removeAttribute('src');
      film.defaultPlaybackRate = film.playbackRate = this.rate;
    }
    if (this.playing) this.#start();
    this.listener.changed();
  }

  #start() {
    for (const film of [this.camera, this.explained]) {
      // A pause or another film in the meantime is no failure; an unplayable film fires an error event.
      if (film.getAttribute('src')) film.play().catch((error) => { if (error.name !== 'AbortError') console.info(error.message); });
    }
  }

  #ended() {
    if (this.index + 1 < this.segments.length) this.seek(this.segments[this.index + 1].begins);
    else this.pause();
  }

  #moved() {
    if (this.segment) this.listener.moved();
  }

  /** Follows each frame of the camera's film as it is shown. */
  #watch() {
    if (!('requestVideoFrameCallback' in this.camera)) return;
    /** @type {VideoFrameRequestCallback} */
    const shown = (_, { mediaTime }) => {
      this.pictured = mediaTime;
      if (this.playing) this.#moved();
      this.camera.requestVideoFrameCallback(shown);
    };
    this.camera.requestVideoFrameCallback(shown);
  }

  /** How far the explained film is ahead of the camera's, in seconds. */
  get drift() {
    return this.explained.currentTime - this.camera.currentTime;
  }

  #follow() {
    if (!this.playing || !this.segment?.camera || !this.segment.explained || this.explained.ended) return;
    if (this.explained.seeking || this.camera.seeking || this.camera.readyState < 3) return;
    if (Math.abs(this.drift) > JUMP_S) {
      this.#align();
      this.explained.playbackRate = this.rate;
    } else {
      const hurry = Math.abs(this.drift) > SEEN_S ? -Math.sign(this.drift) * HURRY : 0;
      this.explained.playbackRate = this.rate * (1 + hurry);
    }
    if (this.explained.paused) this.#start();
  }

  #align() {
    if (this.segment?.camera && this.segment.explained && Math.abs(this.drift) > 0.001) {
      this.explained.currentTime = this.camera.currentTime;
    }
  }
}
