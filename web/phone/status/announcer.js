// @ts-check
/** Announces the best class to screen readers, at most once in `BETWEEN_MS`. */

import { percent, words } from '../../shared/i18n.js';
import { leadOf, verdictOf } from '../../shared/labels/verdict.js';

const BETWEEN_MS = 4000;

export class Announcer {
  /** @param {HTMLElement} line a live region */
  constructor(line) {
    this.line = line;
    this.said = -Infinity;
    /** @type {number | undefined} */
    this.last = undefined;
  }

  /** Stops announcing when a call is over. */
  clear() {
    this.last = undefined;
    this.line.textContent = '';
  }

  /** @param {import('../../shared/protocol.js').Report} report */
  announce(report) {
    const { classes, labels, scores } = report;
    const now = performance.now();
    if (!classes.length || classes[0] === this.last || now - this.said < BETWEEN_MS) return;
    this.said = now;
    [this.last] = classes;
    const lead = leadOf(verdictOf(report, classes[0]));
    this.line.textContent = `${lead && `${lead} `}${words.phone.seen(labels[0], percent(scores[0]))}`;
  }
}
