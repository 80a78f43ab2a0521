// @ts-check
/** The form for another class, and 'Something else' as a ready-made one: without it everything is one of the things. */

import { find } from '../../shared/dom.js';
import { words } from '../../shared/i18n.js';

/** @typedef {import('../../shared/model/teaching-api.js').Teaching} Teaching */

export class NewClass {
  /** @param {(name: string) => Promise<boolean>} add answers whether the class was added */
  constructor(add) {
    this.add = add;
    this.form = find('class-add', HTMLFormElement);
    this.name = find('class-name', HTMLInputElement);
    this.button = find('class-add-now', HTMLButtonElement);
    this.other = find('class-other', HTMLButtonElement);
    this.status = find('class-status', HTMLElement);
    /** @type {Teaching | null} */
    this.state = null;
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#take();
    });
    this.name.addEventListener('input', () => this.#say(''));
    this.other.addEventListener('click', async () => {
      if (await add(words.phone.teach.somethingElse)) find('teach-title', HTMLElement).focus({ preventScroll: true });
    });
  }

  /** @param {Teaching} state */
  show(state) {
    this.state = state;
    const { classes, limits } = state;
    const full = classes.length >= limits.classes;
    this.name.maxLength = limits.name;
    this.form.hidden = full;
    this.other.hidden = full || this.#has(words.phone.teach.somethingElse);
    if (full) this.#say(words.phone.teach.noMore(limits.classes));
    else if (this.status.textContent === words.phone.teach.noMore(limits.classes)) this.#say('');
  }

  /** @param {string} name */
  #has(name) {
    return this.state?.classes.some((one) => one.name.toLowerCase() === name.toLowerCase()) ?? false;
  }

  async #take() {
    const name = this.name.value.trim();
    const { nameIt, sameName } = words.phone.teach;
    this.#say(!name ? nameIt : this.#has(name) ? sameName(name) : '');
    if (!this.status.textContent && await this.add(name)) this.name.value = '';
    this.name.focus({ preventScroll: true });
  }

  /** @param {string} sentence */
  #say(sentence) {
    this.status.textContent = sentence;
  }
}
