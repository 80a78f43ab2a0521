// @ts-check
/** Pins any of the model's classes by its name. */

import { find } from '../../shared/dom.js';
import { words } from '../../shared/i18n.js';
import { classNames } from '../../shared/model/models-api.js';

/** What everybody knows and ImageNet has; another model's examples are its own. */
const WELL_KNOWN = ['banana', 'cup'];
/** A name that is short and one word. */
const PLAIN = /^\p{L}{2,12}$/u;

export class ClassSearch {
  /** @param {(classNumber: number) => void} found @param {(sentence: string) => void} complain */
  constructor(found, complain) {
    this.found = found;
    this.complain = complain;
    this.input = find('sought', HTMLInputElement);
    /** @type {string[]} by class number */
    this.names = [];
    /** Counts the models, so that a late answer about a former one is ignored. */
    this.model = 0;
    this.#example();
    this.input.addEventListener('focus', () => void this.load());
    // A name chosen from the list is complete; a typed one needs Enter.
    this.input.addEventListener('input', (event) => {
      const typed = event instanceof InputEvent && event.inputType !== 'insertReplacementText';
      if (!typed && this.#is(this.input.value) >= 0) this.#take();
    });
    find('search', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.load().then(() => this.#take());
    });
  }

  /** Another model has other names. */
  forget() {
    this.model += 1;
    this.names = [];
    void this.load();
  }

  /** Loads the names; after a failure they are loaded when they are needed. */
  async load() {
    if (this.names.length) return;
    const asked = this.model;
    const names = await classNames().catch(() => []);
    if (asked !== this.model) return;
    this.names = names;
    find('names', HTMLDataListElement).replaceChildren(...names.map((name) => new Option(name, name)));
    this.#example();
  }

  #example() {
    const { searchAny, searchExample } = words.phone;
    this.input.placeholder = this.names.length ? searchExample(examples(this.names)[0]) : searchAny;
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
    if (number === undefined) return this.complain(words.phone.problems.unknownName(this.input.value.trim(), examples(this.names)));
    this.input.value = '';
    this.complain('');
    this.found(number);
  }
}

/** Two of a model's classes, as examples. @param {string[]} names */
function examples(names) {
  const known = WELL_KNOWN.filter((name) => names.includes(name));
  return [...known, ...names.filter((name) => PLAIN.test(name) && !known.includes(name)), ...names].slice(0, 2);
}
