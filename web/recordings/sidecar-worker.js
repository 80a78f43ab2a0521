// @ts-check
/**
 * A worker that reads a sidecar (docs/sidecar.md) as it arrives and packs its frames: ten minutes are tens of megabytes
 * of text, which would block the page for seconds.
 */

/**
 * The settings with which the film was drawn.
 *
 * @typedef {{hold: number[], opacity: number, colormap: string}} Settings
 *
 * @typedef {object} Batch packed frames; frame i has the maps firsts[i] to firsts[i + 1]
 * @property {Float64Array} times s
 * @property {Uint32Array} firsts
 * @property {Int32Array} classes
 * @property {Float32Array} scores
 * @property {Float32Array} scales what a grid is multiplied by for display
 * @property {Uint16Array} rows
 * @property {Uint16Array} columns
 * @property {Uint32Array} starts
 * @property {Uint8Array} grids
 * @property {{frame: number, settings: Settings}[]} settings that apply from these frames on
 * @property {[number, string][]} labels of classes not in earlier batches
 */

export {}; // makes this a module for tsc, so that sidecar.js can import its types

const FRAMES = 300;

addEventListener('message', async ({ data: url }) => {
  try {
    const response = await fetch(url);
    if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
    const packer = new Packer();
    const text = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { value, done } = await text.read();
      if (done) break;
      const lines = (rest + value).split('\n');
      rest = /** @type {string} */ (lines.pop()); // after the last chunk this is a line that a crash cut off
      for (const line of lines) packer.read(JSON.parse(line));
    }
    packer.send();
    postMessage({ done: true });
  } catch (error) {
    postMessage({ failed: String(error) });
  }
});

class Packer {
  constructor() {
    /** @type {any[]} */
    this.lines = [];
    /** @type {Set<number>} */
    this.known = new Set();
    this.begun = false;
  }

  /** @param {any} line */
  read(line) {
    if (!this.begun) {
      if (line.whycam !== 1) throw new Error('not a sidecar');
      this.begun = true;
      postMessage({ header: { fit: line.fit ?? 'stretch', task: line.task ?? 'single-label', settings: line.settings } });
      return;
    }
    this.lines.push(line);
    if (this.lines.length === FRAMES) this.send();
  }

  send() {
    const { lines } = this;
    if (!lines.length) return;
    this.lines = [];
    const maps = lines.flatMap(({ heatmaps, scores, labels }) => heatmaps.map(
      (/** @type {any} */ map, /** @type {number} */ i) => ({ ...map, score: scores[i], label: labels[i] }),
    ));
    const grids = maps.map(({ data }) => bytesOf(data));
    const all = new Uint8Array(grids.reduce((sum, grid) => sum + grid.length, 0));
    let at = 0;
    const starts = Uint32Array.from(grids, (grid) => {
      all.set(grid, at);
      at += grid.length;
      return at - grid.length;
    });
    let first = 0;
    /** @type {[number, string][]} */
    const labels = [];
    for (const { class: number, label } of maps) {
      if (this.known.has(number)) continue;
      this.known.add(number);
      labels.push([number, label]);
    }
    /** @type {Batch} */
    const batch = {
      times: Float64Array.from(lines, ({ time }) => time),
      firsts: Uint32Array.from([...lines, null], (line) => (first += line?.heatmaps.length ?? 0) - (line?.heatmaps.length ?? 0)),
      classes: Int32Array.from(maps, ({ class: number }) => number),
      scores: Float32Array.from(maps, ({ score }) => score),
      scales: Float32Array.from(maps, ({ scale }) => scale),
      rows: Uint16Array.from(maps, ({ shape }) => shape[0]),
      columns: Uint16Array.from(maps, ({ shape }) => shape[1]),
      starts,
      grids: all,
      settings: lines.flatMap(({ settings }, frame) => (settings ? [{ frame, settings: /** @type {Settings} */ (settings) }] : [])),
      labels,
    };
    postMessage({ batch }, { transfer: [all.buffer] });
  }
}

/** @param {string} data base64 */
function bytesOf(data) {
  const from = /** @type {any} */ (Uint8Array).fromBase64;
  if (from) return /** @type {Uint8Array} */ (from(data));
  const text = atob(data);
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
