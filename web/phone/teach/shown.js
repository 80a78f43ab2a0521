// @ts-check
/** Which classes the pictures show, for all devices: the host switches, the others see it. */

import { find } from '../../shared/dom.js';
import { words } from '../../shared/i18n.js';

/** @typedef {import('../../shared/model/teaching-api.js').Shows} Shows */
/** @typedef {import('../../shared/model/teaching-api.js').Teaching} Teaching */

export class Shown {
  /** @param {(shows: Shows) => void} chosen */
  constructor(chosen) {
    this.choice = find('shows', HTMLFieldSetElement);
    this.sentence = find('shows-now', HTMLElement);
    this.choice.addEventListener('change', () => {
      chosen(/** @type {Shows} */ (this.choice.querySelector('input:checked')?.getAttribute('value')));
    });
  }

  /** @param {Teaching} state @param {boolean} host */
  show({ shows, class_set: classSet }, host) {
    this.choice.hidden = !host || !classSet;
    this.sentence.hidden = host || !classSet;
    const input = /** @type {HTMLInputElement | null} */ (this.choice.querySelector(`input[value=${shows}]`));
    if (input) input.checked = true;
    const sentence = words.phone.teach.showsNow[shows];
    if (this.sentence.textContent !== sentence) this.sentence.textContent = sentence;
  }
}
