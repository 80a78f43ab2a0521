// @ts-check
/**
 * The largest type in which a text fits its box, whatever its length: nothing is cut off.
 *
 * The box has its size from its surroundings, not from the text, and its font size is a multiple of `--fit`, which is 1
 * while the text fits. Words stay whole as long as the type is comfortable; otherwise they are broken, in larger type.
 */

const LEAST = 0.1;
/** The type of broken words, as a multiple of the least comfortable one. */
const BROKEN = 1.7;
/** Sizes are rounded to whole pixels. */
const ROUNDING_PX = 1;
/** Halving the interval this often leaves a hundredth of it. */
const STEPS = 7;

export class FittedText {
  /** @param {HTMLElement} box @param {number} comfortable the least factor at which words stay whole */
  constructor(box, comfortable) {
    this.box = box;
    this.comfortable = comfortable;
    /** What was fitted, and into what. */
    this.key = '';
  }

  /** Fits the text again if it or its box has changed. */
  fit() {
    const key = this.#key();
    if (!this.box.clientWidth || key === this.key) return;
    const { style } = this.box;
    style.overflowWrap = 'normal';
    let [low, high] = [this.comfortable, 1];
    if (!this.#fits(1)) {
      if (!this.#fits(this.comfortable)) {
        style.overflowWrap = 'anywhere';
        [low, high] = [LEAST, Math.min(1, BROKEN * this.comfortable)];
        if (this.#fits(high)) low = high;
      }
      for (let step = 0; step < STEPS && low < high; step++) {
        const middle = (low + high) / 2;
        if (this.#fits(middle)) low = middle;
        else high = middle;
      }
      this.#fits(low);
    }
    this.key = this.#key();
  }

  /** @param {number} factor is set */
  #fits(factor) {
    const { box } = this;
    box.style.setProperty('--fit', factor.toFixed(3));
    return box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight + ROUNDING_PX;
  }

  #key() {
    const { textContent, clientWidth, clientHeight } = this.box;
    const { fontSize, fontWeight } = getComputedStyle(this.box);
    // Digits have one width, and change with each frame.
    return [textContent?.replace(/\d/g, '0'), clientWidth, clientHeight, fontSize, fontWeight].join(' ');
  }
}
