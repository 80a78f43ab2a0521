// @ts-check
/**
 * The latency from the phone to the server and back onto its screen.
 *
 * Measured if the browser supports transforms of encoded frames: a report maps a frame's outgoing RTP time stamp to the
 * returned one, and the video element reports which one it shows, and when. Otherwise estimated from the browser's
 * statistics: round trip, server time and jitter buffer.
 */

import { statsOf } from './stats.js';

/** @typedef {import('../../shared/protocol.js').Report} Report */

/** The median of this many frames, a second, does not flicker. */
const PICTURES = 30;
/** Frames in flight; older ones were lost. */
const MOST_IN_FLIGHT = 300;
const READY_MS = 2000;
const ESTIMATE_MS = 1000;

export class Latency {
  constructor() {
    /** @type {Worker | null} */
    this.worker = null;
    /** Set after a call through the worker returned no frame: later calls do not use it. */
    this.distrusted = false;
    this.clear();
  }

  /**
   * Starts the worker that the next call's frames pass through.
   *
   * @returns {Promise<boolean>} whether it runs: a worker that does not run would swallow the frames
   */
  async prepare() {
    if (!('RTCRtpScriptTransform' in window) || !('Worker' in window) || this.distrusted) return false;
    const worker = new Worker(new URL('./latency-worker.js', import.meta.url), { type: 'module' });
    const runs = await new Promise((resolve) => {
      setTimeout(resolve, READY_MS, false);
      worker.addEventListener('error', () => resolve(false));
      worker.addEventListener('message', () => resolve(true), { once: true });
    });
    this.worker?.terminate();
    this.worker = runs ? worker : null;
    if (runs) worker.addEventListener('message', ({ data }) => keep(this.left, data.rtp, data.at));
    else worker.terminate();
    return runs;
  }

  /** Attaches the worker; call this before any frame is sent. @param {RTCRtpTransceiver} transceiver */
  attach({ sender, receiver }) {
    if (!this.worker) return;
    /** @type {any} */ (sender).transform = new RTCRtpScriptTransform(this.worker, { report: true });
    // Chromium shows no video if a connection was set up for transforms and its receiver has none.
    if (!('createEncodedStreams' in RTCRtpReceiver.prototype)) return;
    /** @type {any} */ (receiver).transform = new RTCRtpScriptTransform(this.worker, { report: false });
  }

  /** @param {RTCPeerConnection} connection */
  watch(connection) {
    this.clear();
    this.estimating = setInterval(async () => { this.estimate = await estimated(connection, this.frameMs); }, ESTIMATE_MS);
  }

  clear() {
    clearInterval(this.estimating);
    /** From the outgoing RTP time stamp to the time of sending. @type {Map<number, number>} */
    this.left = new Map();
    /** From the returned RTP time stamp to the outgoing one. @type {Map<number, number>} */
    this.went = new Map();
    /** @type {number[]} */
    this.measured = [];
    /** @type {number | null} */
    this.estimate = null;
    /** The server's share, in ms. @type {number} */
    this.frameMs = 0;
  }

  /** @param {Report} report */
  report({ rtp_in: went, rtp_out: comes, times }) {
    this.frameMs = times.frame_ms;
    if (went !== null && comes !== null) keep(this.went, comes, went);
  }

  /** A frame is on screen. @param {VideoFrameCallbackMetadata} metadata */
  shown({ rtpTimestamp, expectedDisplayTime }) {
    const went = this.went.get(rtpTimestamp ?? NaN);
    const left = went === undefined ? undefined : this.left.get(went);
    if (left === undefined) return;
    this.measured.push(performance.timeOrigin + expectedDisplayTime - left);
    if (this.measured.length > PICTURES) this.measured.shift();
  }

  /** @returns {{ms: number, measured: boolean} | null} the median of the last second, null before the first frame */
  get now() {
    if (this.measured.length) {
      const sorted = [...this.measured].sort((a, b) => a - b);
      return { ms: sorted[sorted.length >> 1], measured: true };
    }
    return this.estimate === null ? null : { ms: this.estimate, measured: false };
  }
}

/**
 * @template V
 * @param {Map<number, V>} map
 * @param {number} key
 * @param {V} value
 */
function keep(map, key, value) {
  map.set(key, value);
  if (map.size > MOST_IN_FLIGHT) map.delete(/** @type {number} */ (map.keys().next().value));
}

/**
 * @param {RTCPeerConnection} connection
 * @param {number} frameMs the server's time for a frame
 * @returns {Promise<number | null>}
 */
async function estimated(connection, frameMs) {
  if (connection.connectionState !== 'connected') return null;
  let ms = frameMs;
  for (const report of await statsOf(connection)) {
    switch (report.type) {
      case 'candidate-pair':
        if (report.nominated && report.currentRoundTripTime) ms += report.currentRoundTripTime * 1000;
        break;
      case 'outbound-rtp':
        if (report.framesEncoded) ms += (report.totalEncodeTime / report.framesEncoded) * 1000;
        break;
      case 'inbound-rtp':
        if (report.jitterBufferEmittedCount) ms += (report.jitterBufferDelay / report.jitterBufferEmittedCount) * 1000;
        if (report.framesDecoded) ms += (report.totalDecodeTime / report.framesDecoded) * 1000;
        break;
    }
  }
  return ms;
}
