// @ts-check
/** The chip that shows the picture's quality. A press opens details; a problem is explained in a sentence below it. */

import { find } from '../../shared/dom.js';
import { span } from '../../shared/format.js';
import { words } from '../../shared/i18n.js';
import { nameOfMap } from '../../shared/model/map-names.js';
import { Quality } from './quality.js';
import { stopped } from './status-badges.js';

/** @typedef {import('../../shared/protocol.js').Report} Report */

/** A heatmap older than this visibly lags behind a moving hand. */
const LATE_MS = 200;

export class QualityChip {
  constructor() {
    this.chip = find('chip', HTMLButtonElement);
    this.details = find('details', HTMLElement);
    this.quality = new Quality();
    /** @type {() => void} fills the details with the newest numbers */
    this.refresh = () => {};
    this.chip.addEventListener('click', () => this.#open(!!this.details.hidden));
  }

  clear() {
    this.quality.clear();
    this.#open(false);
    this.details.replaceChildren();
    this.show(null, 0, null);
  }

  /**
   * @param {Report | null} report
   * @param {number} fps
   * @param {{ms: number, measured: boolean} | null} latency
   */
  show(report, fps, latency) {
    const { phone } = words;
    const state = report?.state ?? 'none';
    const age = Math.round(report?.age_ms ?? 0);
    const late = state === 'carried' && age > LATE_MS;
    this.chip.dataset.quality = state === 'none' || state === 'stalled' ? state : late ? 'late' : 'good';
    write('fps', phone.fps(Math.round(fps)));
    write('latency', latency ? phone.latency(span(latency.ms), latency.measured) : '');
    write('exactness', { exact: phone.exact, carried: phone.carried(span(age)), none: phone.noHeatmap, stalled: phone.stalled }[state]);
    write('dropped', phone.dropped(report?.counts.dropped ?? 0));
    const sentence = this.quality.look({ report, fps, latency: latency?.ms ?? null }, performance.now());
    find('bad-day', HTMLElement).hidden = !sentence;
    write('bad-day', sentence);
    this.refresh = () => { if (report) this.#showDetails(report, latency); };
    if (!this.details.hidden) this.refresh();
  }

  /** Nothing has arrived from the server for a while, so its last report is out of date. */
  silent() {
    const { phone } = words;
    this.chip.dataset.quality = 'stalled';
    write('fps', phone.fps(0));
    write('latency', '');
    write('exactness', phone.noPicture);
    write('dropped', '');
    this.quality.clear();
    find('bad-day', HTMLElement).hidden = false;
    write('bad-day', phone.badDay.silent);
  }

  /** @param {boolean} open */
  #open(open) {
    this.details.hidden = !open;
    this.chip.setAttribute('aria-expanded', String(open));
    if (open) this.refresh();
  }

  /** @param {Report} report @param {{ms: number, measured: boolean} | null} latency */
  #showDetails({ model, map, times, counts, recording }, latency) {
    const { details, framesOf, notRecording, latencyTold } = words.phone;
    const facts = {
      [details.model]: model,
      [details.map]: nameOfMap(map),
      [details.inference]: span(times.inference_ms),
      [details.frame]: span(times.frame_ms),
      [details.latency]: latency ? latencyTold(span(latency.ms), latency.measured) : '–',
      [details.dropped]: framesOf(counts.dropped, counts.decoded),
      [details.lost]: framesOf(counts.lost, counts.received),
      [details.recording]: { on: recording.folder, off: notRecording, stopped: stopped(recording) }[recording.state],
    };
    this.details.replaceChildren(...Object.entries(facts).flatMap(([name, fact]) => [text('dt', name), text('dd', fact)]));
  }
}

/** @param {string} id @param {string} sentence written only if it is new, because some of these elements are live regions */
function write(id, sentence) {
  const element = find(id, HTMLElement);
  if (element.textContent !== sentence) element.textContent = sentence;
}

/** @param {string} tag @param {string} content */
function text(tag, content) {
  const element = document.createElement(tag);
  element.textContent = content;
  return element;
}
