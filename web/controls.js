// @ts-check
/**
 * What the person can set: held classes, opacity, colours, recording.
 *
 * The view belongs to the session at the server. What is pressed here shows at once and is sent; after a moment the
 * reports are believed again, so that a refused command and a change made elsewhere become visible.
 */

import { COLORMAPS, MOST_HELD } from './protocol.js';
import { words } from './words.js';

/** @typedef {import('./protocol.js').Command} Command */
/** @typedef {import('./protocol.js').Report} Report */

/** A command and the report that shows its effect take a round trip. */
const ROUND_TRIP_MS = 700;

export class Controls {
  /**
   * @param {{opacity: HTMLInputElement, colormap: HTMLSelectElement, record: HTMLElement}} elements
   * @param {(command: Command) => void} send
   * @param {(sentence: string) => void} complain
   */
  constructor({ opacity, colormap, record }, send, complain) {
    this.opacity = opacity;
    this.colormap = colormap;
    this.record = record;
    this.send = send;
    this.complain = complain;
    /** @type {number[]} */
    this.held = [];
    this.changed = -Infinity;
    /** The animation frame that will send the opacity, 0 for none. */
    this.sending = 0;

    colormap.append(...COLORMAPS.map((name) => new Option(words.common.colormaps[name], name)));
    this.#showColormap('inferno');
    this.#showOpacity(Number(opacity.value));
    opacity.addEventListener('input', () => {
      this.#showOpacity(Number(opacity.value));
      this.#sendSoon();
    });
    colormap.addEventListener('change', () => {
      this.#showColormap(colormap.value);
      this.#command({ colormap: colormap.value });
    });
    record.addEventListener('click', () => {
      const on = record.getAttribute('aria-checked') !== 'true';
      record.setAttribute('aria-checked', String(on));
      this.#command({ record: on });
    });
  }

  /** Holds a class, or frees it. @param {number} classNumber */
  toggle(classNumber) {
    const held = this.held.includes(classNumber)
      ? this.held.filter((one) => one !== classNumber)
      : [...this.held, classNumber];
    if (held.length > MOST_HELD) return this.complain(words.phone.problems.fiveHeld);
    this.held = held;
    this.#command({ hold: held });
  }

  /** @param {Report} report */
  show({ view, recording }) {
    if (performance.now() - this.changed < ROUND_TRIP_MS) return;
    this.held = view.hold;
    this.#showOpacity(view.opacity);
    this.#showColormap(view.colormap);
    this.record.setAttribute('aria-checked', String(recording.state === 'on'));
  }

  /** The server refused: believe its next report. */
  refused() {
    this.changed = -Infinity;
  }

  /** What the person set, as one command: for the next session of the same try. @returns {Command} */
  wishes() {
    const view = { hold: this.held, opacity: Number(this.opacity.value), colormap: this.colormap.value };
    return this.record.getAttribute('aria-checked') === 'true' ? view : { ...view, record: false };
  }

  clear() {
    this.held = [];
    this.changed = -Infinity;
    this.record.setAttribute('aria-checked', 'false');
  }

  /** @param {Command} command */
  #command(command) {
    this.changed = performance.now();
    this.send(command);
  }

  /** A slider fires faster than anything can be drawn: one command a frame. */
  #sendSoon() {
    this.changed = performance.now();
    if (this.sending) return;
    this.sending = requestAnimationFrame(() => {
      this.sending = 0;
      this.#command({ opacity: Number(this.opacity.value) });
    });
  }

  /** @param {number} opacity */
  #showOpacity(opacity) {
    if (Number(this.opacity.value) !== opacity) this.opacity.value = String(opacity);
    this.opacity.style.setProperty('--value', String(opacity));
  }

  /** @param {string} name */
  #showColormap(name) {
    if (this.colormap.value !== name) this.colormap.value = name;
    document.body.dataset.colormap = name;
  }
}
