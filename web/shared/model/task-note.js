// @ts-check
/** The line near the bars that says of a multi-label model that they do not share 100 %. */

import { words } from '../i18n.js';
import { currentModel } from './models-api.js';

/** After a failure the server is asked again after this time. */
const AGAIN_MS = 3000;

export class TaskNote {
  /** @param {HTMLElement} line */
  constructor(line) {
    this.line = line;
    this.line.textContent = words.common.eachByItself;
    this.line.hidden = true;
    /** The model that the line is about. */
    this.model = '';
    this.again = 0;
  }

  /** @param {string} model the one that explains now, as in a report */
  show(model) {
    if (model === this.model || performance.now() < this.again) return;
    this.model = model;
    this.line.hidden = true;
    void this.#load();
  }

  async #load() {
    const asked = this.model;
    const found = await currentModel().catch(() => null);
    if (asked !== this.model) return;
    this.line.hidden = found?.task !== 'multi-label';
    if (found?.name === asked) return;
    this.model = '';
    this.again = performance.now() + AGAIN_MS;
  }
}
