// @ts-check
/**
 * Draws a sidecar's maps over a film like the server's painter (stream/overlay/painter.py), with the same upsampling,
 * colours and opacity. tests/browser/test_heat.py compares the two.
 */

import { coloursOf, shadesOf } from '../shared/heat-colours.js';

/** @typedef {import('./sidecar.js').Heatmap} Heatmap */
/** @typedef {{x: number, y: number, width: number, height: number}} Part */

/** The parameter of OpenCV's bicubic kernel. */
const A = -0.75;

export class HeatmapPainter {
  /** @param {HTMLCanvasElement} canvas covers the film */
  constructor(canvas) {
    this.canvas = canvas;
    this.drawn = '';
    /** @type {unknown} */
    this.grids = null;
  }

  /**
   * @param {Heatmap[]} maps one in the colormap; several in one colour each, the hottest at each pixel
   * @param {{colormap: string, opacity: number}} look
   * @param {{width: number, height: number}} film
   * @param {'stretch' | 'crop'} fit
   */
  draw(maps, look, film, fit) {
    const key = JSON.stringify([look, film, fit, maps.map(({ class: number, scale, grid }) => [number, scale, grid.byteOffset])]);
    if (key === this.drawn && this.grids === maps[0]?.grid.buffer) return;
    this.drawn = key;
    this.grids = maps[0]?.grid.buffer;
    // The painter upsamples to the chroma planes, which have half the size; the browser then enlarges to the full size.
    this.canvas.width = half(film.width);
    this.canvas.height = half(film.height);
    const context = this.canvas.getContext('2d');
    if (!context || !maps.length) return;
    const { x, y, width, height } = partOf(film, fit, maps[0]);
    const picture = context.createImageData(half(width), half(height));
    const pixels = new Uint32Array(picture.data.buffer);
    const most = new Uint8ClampedArray(pixels.length);
    maps.forEach((map, place) => {
      const plane = heatPlane(map, half(width), half(height));
      const table = tableOf(maps.length > 1 ? place : look.colormap, look.opacity);
      for (let i = 0; i < pixels.length; i++) {
        if (place && plane[i] <= most[i]) continue;
        most[i] = plane[i];
        pixels[i] = table[plane[i]];
      }
    });
    context.putImageData(picture, x / 2, y / 2);
  }

  clear() {
    this.drawn = '';
    this.canvas.width = this.canvas.width; // eslint-disable-line no-self-assign -- clears it
  }
}

/** @param {number} pixels */
const half = (pixels) => (pixels + 1) >> 1;

/**
 * The part of a film that the network saw (stream/inference/preprocess.py).
 *
 * @param {{width: number, height: number}} film
 * @param {'stretch' | 'crop'} fit
 * @param {{rows: number, columns: number}} grid in the proportions of the network's input
 * @returns {Part}
 */
export function partOf({ width, height }, fit, { rows, columns }) {
  if (fit === 'stretch') return { x: 0, y: 0, width, height };
  const seenWidth = Math.max(1, Math.min(width, Math.floor((height * columns) / rows)));
  const seenHeight = Math.max(1, Math.min(height, Math.floor((width * rows) / columns)));
  return { x: ((width - seenWidth) >> 1) & ~1, y: ((height - seenHeight) >> 1) & ~1, width: seenWidth, height: seenHeight };
}

/**
 * @param {Pick<Heatmap, 'grid' | 'scale' | 'rows' | 'columns'>} map
 * @param {number} width
 * @param {number} height
 * @returns {Uint8ClampedArray} (height, width) the heat 0…255, upsampled bicubically
 */
export function heatPlane({ grid: own, scale, rows, columns }, width, height) {
  const grid = Uint8ClampedArray.from(own, (value) => value * scale); // clamps and rounds
  const across = taps(columns, width);
  const down = taps(rows, height);
  const wide = new Float32Array(rows * width); // (rows, width)
  for (let row = 0, at = 0; row < rows; row++) {
    for (let x = 0; x < width; x++) {
      const { places, weights } = across[x];
      let sum = 0;
      for (let tap = 0; tap < 4; tap++) sum += grid[row * columns + places[tap]] * weights[tap];
      wide[at++] = sum;
    }
  }
  const plane = new Uint8ClampedArray(width * height);
  for (let y = 0, at = 0; y < height; y++) {
    const [r0, r1, r2, r3] = down[y].places.map((row) => row * width);
    const [w0, w1, w2, w3] = down[y].weights;
    for (let x = 0; x < width; x++) {
      plane[at++] = wide[r0 + x] * w0 + wide[r1 + x] * w1 + wide[r2 + x] * w2 + wide[r3 + x] * w3;
    }
  }
  return plane;
}

/**
 * @param {number} from cells
 * @param {number} to pixels
 * @returns {{places: number[], weights: number[]}[]} for each pixel its four cells and their weights
 */
function taps(from, to) {
  return Array.from({ length: to }, (_, pixel) => {
    const place = ((pixel + 0.5) * from) / to - 0.5;
    const cell = Math.floor(place);
    const x = place - cell;
    const outer = (/** @type {number} */ d) => ((A * d - 5 * A) * d + 8 * A) * d - 4 * A;
    const inner = (/** @type {number} */ d) => ((A + 2) * d - (A + 3)) * d * d + 1;
    const [w0, w1, w2] = [outer(x + 1), inner(x), inner(1 - x)];
    return {
      places: [-1, 0, 1, 2].map((step) => Math.min(from - 1, Math.max(0, cell + step))),
      weights: [w0, w1, w2, 1 - w0 - w1 - w2],
    };
  });
}

/** A cache of the newest tables, because a slider makes many. @type {Map<string, Uint32Array>} */
const tables = new Map();
const MOST_TABLES = 8;

/**
 * Alpha grows with the heat, so that a pixel without evidence keeps its colours.
 *
 * @param {string | number} shade a colormap, or an index in `PINNED`
 * @param {number} opacity
 * @returns {Uint32Array} (256,) RGBA by heat
 */
function tableOf(shade, opacity) {
  const key = `${shade} ${opacity}`;
  const known = tables.get(key);
  if (known) return known;
  const bytes = new Uint8ClampedArray(256 * 4);
  const colours = typeof shade === 'string' ? coloursOf(shade) : shadesOf(shade);
  for (let heat = 0; heat < 256; heat++) {
    const part = heat / 255;
    bytes.set(colours.subarray(heat * 3, heat * 3 + 3), heat * 4);
    bytes[heat * 4 + 3] = 255 * opacity * part * (2 - part);
  }
  const table = new Uint32Array(bytes.buffer);
  if (tables.size >= MOST_TABLES) tables.clear();
  tables.set(key, table);
  return table;
}
