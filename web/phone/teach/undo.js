// @ts-check
/** Takes back the last change of what is taught, and says which one that is. */

import { find } from '../../shared/dom.js';
import { words } from '../../shared/i18n.js';

/** @typedef {import('../../shared/model/teaching-api.js').Teaching} Teaching */

export class Undo {
  /** @param {() => void} pressed */
  constructor(pressed) {
    this.button = find('teach-undo', HTMLButtonElement);
    this.what = find('teach-undo-what', HTMLElement);
    this.button.addEventListener('click', pressed);
  }

  /** @param {Teaching} state @param {boolean} host */
  show({ undo }, host) {
    if (!undo && document.activeElement === this.button) find('teach-title', HTMLElement).focus({ preventScroll: true });
    this.button.hidden = !host || !undo;
    if (!undo) return;
    const { undoes, undo: plain } = words.phone.teach;
    const sentence = Object.hasOwn(undoes, undo.what) ? undoes[undo.what](undo.class ?? '', undo.count) : plain;
    if (this.what.textContent !== sentence) this.what.textContent = sentence;
  }
}
