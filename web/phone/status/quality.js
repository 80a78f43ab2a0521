// @ts-check
/** Explains a lasting problem with the picture. It appears and disappears with a delay, so that it does not flicker. */

import { span } from '../../shared/format.js';
import { words } from '../../shared/i18n.js';

/** @typedef {import('../../shared/protocol.js').Report} Report */
/** @typedef {{report: Report | null, fps: number, latency: number | null}} Readings */

const BEGINS_MS = 2000;
const ENDS_MS = 4000;

const SLOW_MODEL_MS = 150;
const FEW_FPS = 12;
const LATE_MS = 400;
const LOST_FRAMES = 5;

const NOTHING = { kind: '', sentence: '' };

export class Quality {
  constructor() {
    this.clear();
  }

  clear() {
    /** The problem that is shown. @type {{kind: string, sentence: string}} */
    this.telling = NOTHING;
    /** When each kind was first and last seen. @type {Map<string, {since: number, last: number}>} */
    this.seen = new Map();
    /** @type {{at: number, lost: number}[]} */
    this.losses = [];
  }

  /**
   * @param {Readings} readings of this moment
   * @param {number} now ms
   * @returns {string} the sentence to show, or an empty one
   */
  look(readings, now) {
    const troubles = this.#troubles(readings, now);
    for (const kind of troubles.keys()) {
      const { since } = this.seen.get(kind) ?? { since: now };
      this.seen.set(kind, { since, last: now });
    }
    for (const [kind, { last }] of this.seen) {
      if (now - last > (kind === this.telling.kind ? ENDS_MS : BEGINS_MS / 2)) this.seen.delete(kind);
    }
    const lasting = [...troubles].find(([kind]) => now - (this.seen.get(kind)?.since ?? now) >= BEGINS_MS);
    if (lasting) this.telling = { kind: lasting[0], sentence: lasting[1] };
    else if (!this.seen.has(this.telling.kind)) this.telling = NOTHING;
    return this.telling.sentence;
  }

  /** @param {Readings} readings @param {number} now @returns {Map<string, string>} by kind, the most important first */
  #troubles({ report, fps, latency }, now) {
    const { badDay } = words.phone;
    /** @type {Map<string, string>} */
    const troubles = new Map();
    if (!report) return troubles;
    const lost = this.#lost(report.counts.lost, now);
    if (report.state === 'stalled') troubles.set('stalled', badDay.stalled);
    if (report.engine === 'restarting') troubles.set('restarting', badDay.restarting);
    if (report.frozen) return troubles; // a frozen picture is not slow
    if (report.state === 'carried' && report.times.inference_ms > SLOW_MODEL_MS) {
      troubles.set('slowModel', badDay.slowModel(span(rounded(report.times.inference_ms))));
    }
    if (lost > LOST_FRAMES) troubles.set('losing', badDay.losing(lost));
    if (fps >= 1 && fps < FEW_FPS) troubles.set('fewFrames', badDay.fewFrames(Math.round(fps)));
    if ((latency ?? 0) > LATE_MS) troubles.set('late', badDay.late(span(rounded(latency ?? 0))));
    return troubles;
  }

  /** @param {number} lost @param {number} now @returns {number} frames lost in the last seconds */
  #lost(lost, now) {
    this.losses.push({ at: now, lost });
    this.losses = this.losses.filter(({ at }) => now - at <= ENDS_MS);
    return lost - this.losses[0].lost;
  }
}

/** Rounds to 10 ms, so that the number does not flicker. @param {number} ms */
function rounded(ms) {
  return Math.round(ms / 10) * 10;
}
