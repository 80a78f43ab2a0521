// @ts-check
/**
 * The background of the start page: a coarse heatmap with a wandering warm spot.
 *
 * One canvas pixel is one cell; the style sheet enlarges it without smoothing.
 */
import { COLORMAPS } from '../../shared/colormaps.js';
import { coloursOf } from '../../shared/heat-colours.js';

/** Cells along the shorter side, as many as the last feature map of a small network has. */
const CELLS = 7;
const BETWEEN_MS = 90;
/** Least cells beside the text; with less room nothing is drawn. */
const LEAST = 3;

/** The default colormap's brighter part, as [r, g, b]. */
const GLOW = [51, 82, 113, 144, 175, 206, 237].map((heat) => [...coloursOf(COLORMAPS[0]).subarray(3 * heat, 3 * heat + 3)]);

export class IdleHeatmap {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} words the text on it, which the warm spot avoids
   */
  constructor(canvas, words) {
    this.canvas = canvas;
    this.words = words;
    this.still = window.matchMedia('(prefers-reduced-motion: reduce)');
    this.running = false;
    /** @type {number | undefined} */
    this.timer = undefined;
    window.addEventListener('resize', () => { if (this.running) this.#draw(); });
  }

  /** @param {boolean} running */
  run(running) {
    this.running = running;
    clearInterval(this.timer);
    if (!running) return;
    this.#draw(); // also with reduced motion, because the text may have moved
    this.timer = setInterval(() => { if (!this.still.matches && !document.hidden) this.#draw(); }, BETWEEN_MS);
  }

  #draw() {
    const { clientWidth, clientHeight } = this.canvas;
    const cell = Math.min(clientWidth, clientHeight) / CELLS;
    if (!cell) return;
    const columns = Math.ceil(clientWidth / cell);
    const rows = Math.ceil(clientHeight / cell);
    this.canvas.width = columns;
    this.canvas.height = rows;
    const context = this.canvas.getContext('2d');
    if (!context) return;
    const picture = context.createImageData(columns, rows);
    const time = this.still.matches ? 3 : performance.now() / 1000;
    const text = this.words.getBoundingClientRect();
    const wide = clientWidth > clientHeight;
    const room = (wide ? clientWidth - text.right : text.top) / cell;
    if (room < LEAST) return;
    const radius = Math.min(2.1, room / 3.4);
    const x = (wide ? columns - room / 2 : columns * 0.54) + Math.sin(time * 0.31) * radius * 0.3;
    const y = (wide ? rows * 0.45 : room * 0.52) + Math.cos(time * 0.23) * radius * 0.3;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const [dx, dy] = [column + 0.5 - x, row + 0.5 - y];
        const flicker = 1 + 0.12 * Math.sin(time * 0.9 + column * 2.1 + row * 1.7);
        const heat = Math.min(1, Math.exp(-(dx * dx + dy * dy) / (radius * radius)) * flicker);
        picture.data.set([...glow(heat), Math.round(235 * Math.min(1, heat * 1.6))], (row * columns + column) * 4);
      }
    }
    context.putImageData(picture, 0, 0);
  }
}

/** @param {number} heat 0…1 */
function glow(heat) {
  const place = heat * (GLOW.length - 1);
  const below = Math.min(GLOW.length - 2, Math.floor(place));
  return GLOW[below].map((value, i) => Math.round(value + (GLOW[below + 1][i] - value) * (place - below)));
}
