// @ts-check
/**
 * A button that acts while it is held, by a finger, a mouse or a key.
 *
 * A press shorter than `SHORT_MS`, and the click of an assistive technology, which cannot hold, switch it on until the next
 * press or click.
 */

const SHORT_MS = 300;

export class HoldButton {
  /**
   * @param {HTMLButtonElement} button
   * @param {(on: boolean) => void} changed
   */
  constructor(button, changed) {
    this.button = button;
    this.changed = changed;
    this.on = false;
    /** When the press that switched it on began; null: it is not pressed, or the press switched it off. @type {number | null} */
    this.pressed = null;
    /** Pointers and keys are followed by a click, which means nothing more then. */
    this.handled = false;
    this.#watchPointer();
    this.#watchKeys();
    button.addEventListener('click', () => {
      if (this.handled) this.handled = false;
      else this.#set(!this.on);
    });
    button.addEventListener('contextmenu', (event) => event.preventDefault()); // a finger that is held asks for it
    this.show(false);
  }

  /** The state that somebody else knows: it ended by itself. @param {boolean} on */
  show(on) {
    this.on = on;
    if (!on) this.pressed = null;
    this.button.setAttribute('aria-pressed', String(on));
  }

  /** Ends it, because the button goes away. */
  release() {
    this.pressed = null;
    if (this.on) this.#set(false);
  }

  #watchPointer() {
    const { button } = this;
    button.addEventListener('pointerdown', (event) => {
      if (event.button !== 0 || !event.isPrimary) return;
      button.setPointerCapture(event.pointerId); // a finger that slides off still holds
      this.#press();
    });
    button.addEventListener('pointerup', () => this.#lift());
    button.addEventListener('pointercancel', () => { this.handled = false; this.#let(); }); // no click follows
  }

  #watchKeys() {
    this.button.addEventListener('keydown', (event) => {
      if (event.key !== ' ' && event.key !== 'Enter') return;
      event.preventDefault(); // else it clicks
      if (!event.repeat) this.#press();
    });
    this.button.addEventListener('keyup', (event) => {
      if (event.key !== ' ' && event.key !== 'Enter') return;
      event.preventDefault();
      this.#lift();
    });
    this.button.addEventListener('blur', () => { if (this.pressed !== null) this.#let(); });
  }

  #press() {
    this.handled = true;
    this.pressed = this.on ? null : performance.now();
    this.#set(!this.on);
  }

  /** A short press leaves it on. */
  #lift() {
    if (this.pressed !== null && performance.now() - this.pressed >= SHORT_MS) this.#let();
    this.pressed = null;
    setTimeout(() => { this.handled = false; }); // after the click, if there is one
  }

  #let() {
    this.pressed = null;
    if (this.on) this.#set(false);
  }

  /** @param {boolean} on */
  #set(on) {
    this.show(on);
    this.changed(on);
  }
}
