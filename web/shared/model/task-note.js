// @ts-check
/** The line near the bars that says of a multi-label model that they do not share 100 %. */

import { words } from '../i18n.js';

/** @typedef {import('./models-api.js').Model} Model */

export class TaskNote {
  /** @param {HTMLElement} line */
  constructor(line) {
    this.line = line;
    this.line.textContent = words.common.eachByItself;
    this.line.hidden = true;
  }

  /** @param {Model | null} model the one that explains now; null: not known */
  show(model) {
    this.line.hidden = model?.task !== 'multi-label';
  }
}
