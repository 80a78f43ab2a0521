// @ts-check
/** The choice of the model, shown to the host if its computer has two or more. */

import { find } from '../../shared/dom.js';
import { words } from '../../shared/i18n.js';
import { changeModel, models } from '../../shared/model/models-api.js';
import { UserError } from '../../shared/user-error.js';

/** A change that another page has requested is looked for again after this time. */
const AGAIN_MS = 1500;

export class ModelChoice {
  /** @param {(sentence: string) => void} complain */
  constructor(complain) {
    this.complain = complain;
    this.row = find('models', HTMLElement);
    this.picker = find('model-id', HTMLSelectElement);
    this.status = find('model-status', HTMLElement);
    /** Whether this device may choose. */
    this.allowed = false;
    this.current = '';
    this.picker.addEventListener('change', () => void this.#choose(this.picker.value));
  }

  /** Lists the models; called when this device is the host, and when the list may have changed. */
  async offer() {
    this.allowed = true;
    try {
      const { models: all, changing } = await models();
      if (this.picker.disabled) return; // the answer to a choice will be newer
      this.current = all.find(({ current }) => current)?.name ?? '';
      this.picker.replaceChildren(...all.map(({ name }) => new Option(name, name)));
      this.picker.value = this.current;
      this.row.hidden = all.length < 2;
      this.status.textContent = changing ? words.common.modelLoads(changing) : '';
      if (changing) setTimeout(() => void this.offer(), AGAIN_MS);
    } catch (reason) {
      console.info('models:', reason); // without the list there is no choice, and the picture continues
    }
  }

  /** The model that explains now. @param {string} name */
  show(name) {
    if (this.allowed && name !== this.current) void this.offer();
  }

  /** @param {string} name */
  async #choose(name) {
    const focused = document.activeElement === this.picker;
    this.picker.disabled = true;
    this.status.textContent = words.common.modelLoads(name);
    this.status.scrollIntoView({ block: 'nearest' });
    try {
      this.current = (await changeModel(name)).name;
    } catch (reason) {
      this.complain(UserError.of(reason).message);
    }
    this.picker.disabled = false;
    this.picker.value = this.current;
    this.status.textContent = '';
    if (focused) this.picker.focus({ preventScroll: true });
    await this.offer();
  }
}
