// @ts-check
/** An example in large, beside it the same with the heat of a class, and the button that removes it. */

import { find } from '../../shared/dom.js';
import { words } from '../../shared/i18n.js';
import { heatOf, pictureOf } from '../../shared/model/teaching-api.js';

/** `removable`: this device may remove it. @typedef {{example: number, class: number, name: string, classSet: string | null, removable: boolean}} Shown */

export class ExampleDialog {
  /** @param {(example: number) => void} removed */
  constructor(removed) {
    this.dialog = find('example', HTMLDialogElement);
    this.title = find('example-title', HTMLElement);
    this.picture = find('example-picture', HTMLImageElement);
    this.heat = find('example-heat', HTMLImageElement);
    this.why = find('example-why', HTMLElement);
    /** The example on show. */
    this.example = 0;
    this.remove = find('example-remove', HTMLButtonElement);
    this.remove.addEventListener('click', () => {
      this.dialog.close();
      removed(this.example);
    });
    this.heat.addEventListener('error', () => this.#cool(true));
    this.dialog.addEventListener('click', (event) => { if (event.target === this.dialog) this.dialog.close(); }); // beside it
  }

  /** @param {Shown} shown */
  open({ example, class: number, name, classSet, removable }) {
    const { teach } = words.phone;
    this.example = example;
    this.remove.hidden = !removable;
    this.title.textContent = name;
    this.picture.src = pictureOf(example);
    this.picture.alt = teach.pictureOf(name);
    this.heat.alt = teach.heatOf(name);
    this.#cool(!classSet);
    if (classSet) this.heat.src = heatOf(example, number, classSet);
    this.dialog.showModal();
  }

  close() {
    this.dialog.close();
  }

  /** @param {boolean} cool whether there is no heat to show */
  #cool(cool) {
    this.heat.hidden = cool;
    this.why.hidden = !cool;
  }
}
