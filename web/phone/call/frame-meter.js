// @ts-check
/** Counts the returned frames as they are shown. */

import { statsOf } from './stats.js';

/** The frame rate is measured over the last second. */
const WINDOW_MS = 1000;

export class FrameMeter {
  /**
   * @param {HTMLVideoElement} video
   * @param {() => void} first called at the first frame of each stream
   * @param {(metadata: VideoFrameCallbackMetadata) => void} each called for each frame, if the browser reports it
   */
  constructor(video, first, each) {
    this.video = video;
    this.first = first;
    this.each = each;
    /** Frames of this stream so far. */
    this.frames = 0;
    /** @type {{at: number, frames: number}[]} */
    this.past = [];
    this.watching = 0;
  }

  /** @param {RTCPeerConnection} connection its statistics are used if the browser has no callback for each frame */
  watch(connection) {
    this.stop();
    this.frames = 0;
    this.past = [];
    const watching = this.watching;
    if ('requestVideoFrameCallback' in this.video) {
      let offset = /** @type {number | null} */ (null);
      /** @param {number} now @param {VideoFrameCallbackMetadata} metadata */
      const shown = (now, metadata) => {
        if (watching !== this.watching) return;
        offset ??= metadata.presentedFrames - 1; // the element's count continues from one stream to the next
        this.#count(now, metadata.presentedFrames - offset);
        this.each(metadata);
        this.video.requestVideoFrameCallback(shown);
      };
      this.video.requestVideoFrameCallback(shown);
    } else {
      const timer = setInterval(async () => {
        if (watching !== this.watching) return clearInterval(timer);
        for (const report of await statsOf(connection)) {
          if (report.type === 'inbound-rtp' && report.framesDecoded) this.#count(performance.now(), report.framesDecoded);
        }
      }, 250);
    }
  }

  stop() {
    this.watching += 1;
  }

  /** Frames per second, over the last second. */
  get fps() {
    const now = performance.now();
    this.past = this.past.filter(({ at }) => now - at <= WINDOW_MS);
    if (this.past.length < 2) return 0;
    const [oldest, newest] = [this.past[0], this.past[this.past.length - 1]];
    return ((newest.frames - oldest.frames) * 1000) / Math.max(1, newest.at - oldest.at);
  }

  /** @param {number} at @param {number} frames */
  #count(at, frames) {
    const isFirst = this.frames === 0;
    this.frames = frames;
    this.past.push({ at, frames });
    if (isFirst) this.first();
  }
}
