// @ts-check
/**
 * The session's controls: pinned classes, heat, colours, recording, freezing, hiding the evidence, the difference.
 *
 * The view belongs to the session at the server. A change here is shown and sent immediately. For `ROUND_TRIP_MS` reports
 * are ignored, then they apply again, so that a refused command and a change made elsewhere become visible.
 */

import { COLORMAPS } from '../../shared/colormaps.js';
import { find } from '../../shared/dom.js';
import { nameOf, setColormap } from '../../shared/heat-colours.js';
import { numberingOf, toggled } from '../../shared/protocol.js';

/** @typedef {import('../../shared/protocol.js').Command} Command */
/** @typedef {import('../../shared/protocol.js').Report} Report */

/** A command and the report that shows its effect take a round trip. */
const ROUND_TRIP_MS = 700;

export class Controls {
  /** @param {(command: Command) => void} send */
  constructor(send) {
    this.opacity = find('opacity', HTMLInputElement);
    this.colormap = find('colormap', HTMLFieldSetElement);
    this.record = new Toggle('record', 'aria-checked', (on) => this.#command({ record: on }));
    this.freeze = new Toggle('freeze', 'aria-pressed', (on) => this.#command({ freeze: on }));
    this.hide = new Toggle('hide', 'aria-pressed', (on) => this.#command({ hide: on }));
    this.difference = new Toggle('difference', 'aria-pressed', (on) => this.#command({ difference: on, model: this.model }));
    /** Whether the model can draw the difference of two classes. */
    this.canCompare = false;
    this.send = send;
    /** @type {number[]} */
    this.pinned = [];
    /** The model, '' before the first report. */
    this.model = '';
    /** Whose class numbers the pinned ones are. */
    this.numbering = '';
    this.changed = -Infinity;
    /** The animation frame that will send the opacity, 0 for none. */
    this.sending = 0;

    this.colormap.append(...COLORMAPS.map(colours));
    this.#showColormap(COLORMAPS[0]);
    this.#showOpacity(Number(this.opacity.value));
    this.opacity.addEventListener('input', () => {
      this.#showOpacity(Number(this.opacity.value));
      this.#sendSoon();
    });
    this.colormap.addEventListener('change', () => {
      this.#showColormap(this.#chosen);
      this.#command({ colormap: this.#chosen });
    });
  }

  /** Pins a class, or releases it. @param {number} number */
  toggle(number) {
    this.pinned = toggled(this.pinned, number);
    this.#offerDifference();
    this.#command({ hold: this.pinned, model: this.model });
  }

  /** @param {Report} report */
  show(report) {
    const { model, view, recording, frozen } = report;
    const numbering = numberingOf(report);
    if (numbering !== this.numbering) this.changed = -Infinity; // what was pinned has other numbers now, or is released
    [this.model, this.numbering] = [model, numbering];
    if (performance.now() - this.changed < ROUND_TRIP_MS) return;
    this.pinned = view.hold;
    this.#showOpacity(view.opacity);
    this.#showColormap(view.colormap);
    this.record.show(recording.state === 'on');
    this.freeze.show(frozen);
    this.hide.show(view.hide);
    this.difference.show(Boolean(view.difference));
    this.#offerDifference();
  }

  /** @param {boolean} can whether the model can draw the difference of two classes */
  compare(can) {
    this.canCompare = can;
    this.#offerDifference();
  }

  /** The button is seen with exactly two classes, and keeps its place without; the difference ends with one of them. */
  #offerDifference() {
    const offered = this.canCompare && this.pinned.length === 2;
    this.difference.button.hidden = !this.canCompare;
    this.difference.button.dataset.offered = String(offered);
    if (!offered) this.difference.show(false);
  }

  /** The server refused a command: its next report applies. */
  refused() {
    this.changed = -Infinity;
  }

  /** All settings as one command, for the next session of the same attempt. @returns {Command} */
  settings() {
    const view = {
      hold: this.pinned,
      model: this.model,
      opacity: Number(this.opacity.value),
      colormap: this.#chosen,
      hide: this.hide.on,
    };
    if (this.difference.on) Object.assign(view, { difference: true });
    return this.record.on ? view : { ...view, record: false };
  }

  clear() {
    this.pinned = [];
    this.model = this.numbering = '';
    this.changed = -Infinity;
    for (const toggle of [this.record, this.freeze, this.hide]) toggle.show(false);
    this.compare(false);
  }

  get #chosen() {
    return this.colormap.querySelector('input:checked')?.getAttribute('value') ?? COLORMAPS[0];
  }

  /** @param {Command} command */
  #command(command) {
    this.changed = performance.now();
    this.send(command);
  }

  /** A slider fires faster than frames are drawn, so at most one command per frame is sent. */
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
  }

  /** @param {string} name */
  #showColormap(name) {
    const input = /** @type {HTMLInputElement | null} */ (this.colormap.querySelector(`input[value="${name}"]`));
    if (input) input.checked = true;
    setColormap(document.body, name);
  }
}

/** A toggle button. */
class Toggle {
  /** @param {string} id @param {'aria-pressed' | 'aria-checked'} state @param {(on: boolean) => void} pressed */
  constructor(id, state, pressed) {
    this.button = find(id, HTMLButtonElement);
    this.state = state;
    this.button.addEventListener('click', () => {
      this.show(!this.on);
      pressed(this.on);
    });
  }

  get on() { return this.button.getAttribute(this.state) === 'true'; }

  /** @param {boolean} on */
  show(on) {
    if (this.on !== on) this.button.setAttribute(this.state, String(on));
  }
}

/** A radio button for one colormap. @param {string} name */
function colours(name) {
  const label = document.createElement('label');
  const input = document.createElement('input');
  setColormap(label, name);
  label.title = nameOf(name);
  Object.assign(input, { type: 'radio', name: 'colormap', value: name, ariaLabel: nameOf(name) });
  label.append(input);
  return label;
}
