// @ts-check
/**
 * How long a picture takes from the phone to the server and back onto its screen.
 *
 * Measured where the browser lets encoded frames be seen on their way out: a report ties the RTP time stamp that a frame
 * went with to the one that it came back with, and the video element tells which one it shows, and when. Elsewhere
 * estimated, from what the browser counts: the way there and back, the server's work, the wait for a smooth picture.
 */

/** @typedef {import('../../shared/protocol.js').Report} Report */

/** The median of so many pictures, a second, is calm. */
const PICTURES = 30;
/** Frames on their way; what is older was lost. */
const MOST_ON_THE_WAY = 300;
const READY_MS = 2000;
const ESTIMATE_MS = 1000;

export class Latency {
  constructor() {
    /** @type {Worker | null} */
    this.worker = null;
    /** A call whose frames passed the worker brought no picture: from now on they are left alone. */
    this.distrusted = false;
    this.clear();
  }

  /**
   * Starts the worker that the next call's frames pass on their way out.
   *
   * @returns {Promise<boolean>} whether it runs: one that does not would swallow the frames
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

  /** Lets the frames pass the worker; to be called before any do. @param {RTCRtpTransceiver} transceiver */
  attach({ sender, receiver }) {
    if (!this.worker) return;
    /** @type {any} */ (sender).transform = new RTCRtpScriptTransform(this.worker, { tell: true });
    // Chromium shows nothing of a connection that was told of transforms and has none for what it receives.
    if (!('createEncodedStreams' in RTCRtpReceiver.prototype)) return;
    /** @type {any} */ (receiver).transform = new RTCRtpScriptTransform(this.worker, { tell: false });
  }

  /** @param {RTCPeerConnection} connection */
  watch(connection) {
    this.clear();
    this.estimating = setInterval(async () => { this.estimate = await estimated(connection, this.frameMs); }, ESTIMATE_MS);
  }

  clear() {
    clearInterval(this.estimating);
    /** By the RTP time stamp it went with: when each frame left. @type {Map<number, number>} */
    this.left = new Map();
    /** From the RTP time stamp a frame comes back with to the one it went with. @type {Map<number, number>} */
    this.went = new Map();
    /** @type {number[]} */
    this.measured = [];
    /** @type {number | null} */
    this.estimate = null;
    /** The server's own part. @type {number} */
    this.frameMs = 0;
  }

  /** @param {Report} report */
  report({ rtp_in: went, rtp_out: comes, times }) {
    this.frameMs = times.frame_ms;
    if (went !== null && comes !== null) keep(this.went, comes, went);
  }

  /** A picture is on the screen. @param {VideoFrameCallbackMetadata} metadata */
  shown({ rtpTimestamp, expectedDisplayTime }) {
    const went = this.went.get(rtpTimestamp ?? NaN);
    const left = went === undefined ? undefined : this.left.get(went);
    if (left === undefined) return;
    this.measured.push(performance.timeOrigin + expectedDisplayTime - left);
    if (this.measured.length > PICTURES) this.measured.shift();
  }

  /** @returns {{ms: number, measured: boolean} | null} the median of the last second, null before the first picture */
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
  if (map.size > MOST_ON_THE_WAY) map.delete(/** @type {number} */ (map.keys().next().value));
}

/**
 * @param {RTCPeerConnection} connection
 * @param {number} frameMs the server's work on a frame
 * @returns {Promise<number | null>}
 */
async function estimated(connection, frameMs) {
  if (connection.connectionState !== 'connected') return null;
  let ms = frameMs;
  for (const report of (await connection.getStats()).values()) {
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
