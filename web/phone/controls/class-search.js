// @ts-check
/** Pins any of the model's classes by its name. */

import { find } from '../../shared/dom.js';
import { words } from '../../shared/i18n.js';

export class ClassSearch {
  /** @param {(classNumber: number) => void} found @param {(sentence: string) => void} complain */
  constructor(found, complain) {
    this.found = found;
    this.complain = complain;
    this.input = find('sought', HTMLInputElement);
    /** @type {string[]} by class number */
    this.names = [];
    this.input.addEventListener('focus', () => void this.#load());
    // A name chosen from the list is complete; a typed one needs Enter.
    this.input.addEventListener('input', (event) => {
      const typed = event instanceof InputEvent && event.inputType !== 'insertReplacementText';
      if (!typed && this.#is(this.input.value) >= 0) this.#take();
    });
    find('search', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#load().then(() => this.#take());
    });
  }

  /** Another model has other names, which are loaded when they are needed. */
  forget() {
    this.names = [];
    if (document.activeElement === this.input) void this.#load();
  }

  async #load() {
    if (this.names.length) return;
    const response = await fetch('/api/labels').catch(() => null);
    if (!response?.ok) return;
    this.names = await response.json();
    find('names', HTMLDataListElement).replaceChildren(...this.names.map((name) => new Option(name, name)));
  }

  /** @param {string} name */
  #is(name) {
    const wanted = name.trim().toLowerCase();
    return this.names.findIndex((one) => one.toLowerCase() === wanted);
  }

  #take() {
    const wanted = this.input.value.trim().toLowerCase();
    if (!wanted) return;
    if (!this.names.length) return this.complain(words.common.problems.serverGone);
    const begins = this.names.findIndex((one) => one.toLowerCase().startsWith(wanted));
    const within = this.names.findIndex((one) => one.toLowerCase().includes(wanted));
    const number = [this.#is(wanted), begins, within].find((place) => place >= 0);
    if (number === undefined) return this.complain(words.phone.problems.unknownName(this.input.value.trim()));
    this.input.value = '';
    this.complain('');
    this.found(number);
  }
}
