// @ts-check
/**
 * The report of the frame on screen, found by the returned RTP time stamp. A report arrives before its frame is shown, or
 * a moment after, on a busy network.
 *
 * Where the browser does not tell which frame it shows, it is the newest report.
 */

/** @typedef {import('../protocol.js').Report} Report */

/** Reports of frames that may still be shown, three seconds. */
const MOST = 90;
/** Without a match for this long, the newest report applies. */
const MATCHES_MS = 1000;

export class ReportOnScreen {
  /** @param {(report: Report) => void} listener called for each frame on screen that has a report */
  constructor(listener) {
    this.listener = listener;
    /** By the returned RTP time stamp. @type {Map<number, Report>} */
    this.reports = new Map();
    this.matched = -Infinity;
    /** The RTP time stamp of the frame on screen. @type {number | undefined} */
    this.frame = undefined;
  }

  clear() {
    this.reports.clear();
    this.frame = undefined;
    this.matched = -Infinity;
  }

  /** @param {Report} report the newest */
  take(report) {
    if (report.rtp_out !== null) this.reports.set(report.rtp_out, report);
    if (this.reports.size > MOST) this.reports.delete(/** @type {number} */ (this.reports.keys().next().value));
    if (report.rtp_out !== null && report.rtp_out === this.frame) this.#matches(report);
    else if (performance.now() - this.matched > MATCHES_MS) this.listener(report);
  }

  /** A frame is on screen. @param {VideoFrameCallbackMetadata} metadata */
  shown({ rtpTimestamp }) {
    this.frame = rtpTimestamp;
    const report = this.reports.get(rtpTimestamp ?? NaN);
    if (report) this.#matches(report);
  }

  /** @param {Report} report of the frame on screen */
  #matches(report) {
    this.matched = performance.now();
    this.listener(report);
  }
}
