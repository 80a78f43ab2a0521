// @ts-check
/** A recording's sidecar: the results for each frame, found by its time, also while the rest is still being read. */

import { COLORMAPS } from '../shared/colormaps.js';

/** @typedef {import('./sidecar-worker.js').Batch} Batch */
/** @typedef {import('./sidecar-worker.js').Settings} Settings */
/**
 * @typedef {{class: number, score: number, scale: number, rows: number, columns: number, grid: Uint8Array}} Heatmap
 * @typedef {{time: number, maps: Heatmap[], settings: Settings}} Frame
 */

export const DEFAULT_SETTINGS = /** @type {Settings} */ ({ hold: [], opacity: 0.7, colormap: COLORMAPS[0] });
/** A film's time stamps are rounded: a frame counts as shown this much before its time. */
const EARLY_S = 0.004;

export class Sidecar {
  /**
   * @param {string} url
   * @param {{grown: () => void, failed: (why: string) => void}} listener
   */
  constructor(url, listener) {
    /** @type {'stretch' | 'crop'} how a frame was fitted to the network's square */
    this.fit = 'stretch';
    /** @type {'single-label' | 'multi-label'} what the scores are */
    this.task = 'single-label';
    /** @type {Map<number, string>} */
    this.labels = new Map();
    this.frames = 0;
    this.complete = false;
    /** @type {Batch[]} */
    this.batches = [];
    /** With the time of the first frame that they apply to. @type {{time: number, settings: Settings}[]} */
    this.settings = [];
    this.worker = new Worker(new URL('./sidecar-worker.js', import.meta.url), { type: 'module' });
    this.worker.addEventListener('message', ({ data }) => {
      if (data.header) this.#begin(data.header);
      else if (data.batch) this.#add(data.batch);
      else if (data.done) { this.complete = true; this.worker.terminate(); }
      else listener.failed(data.failed);
      listener.grown();
    });
    this.worker.postMessage(new URL(url, location.href).href);
  }

  /** @param {number} time @returns {Frame | null} the frame on screen at that time; null if it is not read yet */
  at(time) {
    const batch = this.batches[before(this.batches.length, time, (i) => this.batches[i].times[0])];
    if (!batch) return null;
    const i = before(batch.times.length, time, (frame) => batch.times[frame]);
    if (i === batch.times.length - 1 && batch === this.batches[this.batches.length - 1] && !this.complete) return null;
    /** @type {Heatmap[]} */
    const maps = [];
    for (let map = batch.firsts[i]; map < batch.firsts[i + 1]; map++) {
      const [rows, columns, start] = [batch.rows[map], batch.columns[map], batch.starts[map]];
      maps.push({
        class: batch.classes[map],
        score: batch.scores[map],
        scale: batch.scales[map],
        rows,
        columns,
        grid: batch.grids.subarray(start, start + rows * columns),
      });
    }
    const { settings } = this.settings[before(this.settings.length, batch.times[i], (one) => this.settings[one].time)] ?? { settings: DEFAULT_SETTINGS };
    return { time: batch.times[i], maps, settings };
  }

  /** The time of the first frame with a heatmap; null if none is read yet. */
  get begins() {
    for (const { times, firsts } of this.batches) {
      for (let i = 0; i < times.length; i++) if (firsts[i + 1] > firsts[i]) return times[i];
    }
    return null;
  }

  /** The times of the previous and the next frame; null if there is none. @param {number} time */
  around(time) {
    const all = [this.at(time - 2 * EARLY_S)?.time ?? null, this.#next(time)];
    return { before: all[0], after: all[1] };
  }

  close() {
    this.worker.terminate();
  }

  /** @param {number} time */
  #next(time) {
    for (const { times } of this.batches) {
      if (times[times.length - 1] <= time + EARLY_S) continue;
      return times[before(times.length, time, (i) => times[i]) + (times[0] > time + EARLY_S ? 0 : 1)];
    }
    return null;
  }

  /** @param {{fit: 'stretch' | 'crop', task: 'single-label' | 'multi-label', settings?: Settings}} header */
  #begin({ fit, task, settings }) {
    this.fit = fit;
    this.task = task;
    this.settings.push({ time: -Infinity, settings: settings ?? DEFAULT_SETTINGS });
  }

  /** @param {Batch} batch */
  #add(batch) {
    this.batches.push(batch);
    this.frames += batch.times.length;
    for (const [number, label] of batch.labels) this.labels.set(number, label);
    for (const { frame, settings } of batch.settings) this.settings.push({ time: batch.times[frame], settings });
  }
}

/**
 * @param {number} count
 * @param {number} time
 * @param {(i: number) => number} timeOf ascending
 * @returns {number} the last index that is not later; 0 if all are later; -1 if there are none
 */
function before(count, time, timeOf) {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (timeOf(middle) <= time + EARLY_S) low = middle;
    else high = middle - 1;
  }
  return count ? low : -1;
}
