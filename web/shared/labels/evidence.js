// @ts-check
/** The probability without the evidence, and its age if it is not current. */

import { numberingOf } from '../protocol.js';

/** @typedef {import('../protocol.js').Hidden} Hidden */
/** @typedef {import('../protocol.js').Report} Report */
/**
 * `ago`: whole seconds, 0 if it belongs to the picture on screen; `drawn`: its class is the one drawn now.
 *
 * @typedef {Hidden & {ago: number, drawn: boolean}} Evidence
 */

/** The model runs without the evidence about once a second; a slow one takes longer. */
const NOW_MS = 1500;

/** @param {Report} report @returns {Evidence | null} the newest answer, null before the first */
export function evidenceOf({ hidden, view, classes, frozen }) {
  return hidden && {
    ...hidden,
    ago: frozen || hidden.age_ms <= NOW_MS ? 0 : Math.round(hidden.age_ms / 1000),
    drawn: hidden.class === (view.hold[0] ?? classes[0]),
  };
}

/** The evidence of the frames on screen, one after the other: a frame without an explanation keeps the last answer. */
export class EvidenceOnScreen {
  constructor() {
    /** The report with the newest answer. @type {Report | null} */
    this.last = null;
  }

  clear() {
    this.last = null;
  }

  /** @param {Report} report of the next frame on screen @returns {Evidence | null} null before the first answer */
  of(report) {
    const unexplained = report.view.hide && !report.classes.length && !!this.last && numberingOf(report) === numberingOf(this.last);
    if (!unexplained) this.last = report.hidden ? report : null;
    if (!this.last?.hidden) return null;
    const { hidden, classes, pts } = this.last;
    // It gets older: times are in 1/90000 s.
    return evidenceOf({ ...report, classes, hidden: { ...hidden, age_ms: hidden.age_ms + (report.pts - pts) / 90 } });
  }
}
