// @ts-check
/** What the host does with all that was taught: who may teach, saving it as a model, forgetting it. */

import { find } from '../../shared/dom.js';
import { words } from '../../shared/i18n.js';
import { saveTaught } from '../../shared/model/teaching-api.js';
import { UserError } from '../../shared/user-error.js';

/** @typedef {import('../../shared/model/teaching-api.js').Teaching} Teaching */

export class Keeping {
  /**
   * @param {(wanted: {phones?: boolean, clear?: true}) => Promise<void>} change
   * @param {() => void} saved another model is on the computer now
   */
  constructor(change, saved) {
    this.element = find('keeping', HTMLElement);
    this.saving = find('teach-save', HTMLFormElement);
    this.name = find('teach-model', HTMLInputElement);
    this.keepPart = find('teach-keeping', HTMLElement);
    this.keep = find('teach-keep', HTMLInputElement);
    this.status = find('teach-saved', HTMLElement);
    this.download = find('teach-download', HTMLElement);
    this.phones = find('teach-phones', HTMLInputElement);
    this.clear = find('teach-clear', HTMLButtonElement);
    this.question = find('teach-sure', HTMLElement);
    this.saved = saved;
    this.saving.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#save();
    });
    this.phones.addEventListener('change', () => void change({ phones: this.phones.checked }));
    this.clear.addEventListener('click', () => this.#ask(true));
    find('teach-clear-no', HTMLButtonElement).addEventListener('click', () => this.#ask(false));
    find('teach-clear-yes', HTMLButtonElement).addEventListener('click', () => {
      this.#ask(false);
      void change({ clear: true });
    });
  }

  /** @param {Teaching} teaching @param {boolean} host */
  show({ phones, class_set: classSet, classes }, host) {
    this.element.hidden = !host;
    this.phones.checked = phones;
    this.saving.hidden = this.keepPart.hidden = this.download.hidden = !classSet;
    this.clear.disabled = !classes.length;
    if (!classes.length) this.#ask(false);
  }

  /** @param {boolean} asks whether everything is to be forgotten */
  #ask(asks) {
    if (asks === !this.question.hidden) return;
    this.question.hidden = !asks;
    this.clear.hidden = asks;
    (asks ? find('teach-clear-no', HTMLButtonElement) : this.clear).focus({ preventScroll: true });
    if (asks) this.question.scrollIntoView({ block: 'nearest' });
  }

  async #save() {
    const { saveName, savedAs, saving } = words.phone.teach;
    const keep = this.keep.checked;
    const name = this.name.value.trim();
    if (!name) {
      this.status.textContent = saveName;
      return this.name.focus();
    }
    this.status.textContent = saving;
    try {
      this.status.textContent = savedAs(await saveTaught(name, keep), keep);
      this.name.value = '';
      this.keep.checked = false;
      this.saved();
    } catch (reason) {
      this.status.textContent = UserError.of(reason).message;
    }
  }
}
