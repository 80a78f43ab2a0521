// @ts-check
/** Pins any class by its name: one of the model's own, or one that was taught. */

import { find } from '../../shared/dom.js';
import { words } from '../../shared/i18n.js';
import { namedClasses } from '../../shared/model/models-api.js';

/** What everybody knows and ImageNet has; another model's examples are its own. */
const WELL_KNOWN = ['banana', 'cup'];
/** A name that is short and one word. */
const PLAIN = /^\p{L}{2,12}$/u;

/** @typedef {import('../../shared/model/models-api.js').NamedClass} NamedClass */

export class ClassSearch {
  /** @param {(classNumber: number) => void} found @param {(sentence: string) => void} complain */
  constructor(found, complain) {
    this.found = found;
    this.complain = complain;
    this.input = find('sought', HTMLInputElement);
    /** @type {NamedClass[]} */
    this.classes = [];
    /** Counts the sets of classes, so that a late answer about a former one is ignored. */
    this.set = 0;
    this.#example();
    this.input.addEventListener('focus', () => void this.load());
    // A name chosen from the list is complete; a typed one needs Enter.
    this.input.addEventListener('input', (event) => {
      const typed = event instanceof InputEvent && event.inputType !== 'insertReplacementText';
      if (!typed && this.#called(this.input.value)) this.#take();
    });
    find('search', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.load().then(() => this.#take());
    });
  }

  /** Another model, or another set of taught classes, has other names. */
  forget() {
    this.set += 1;
    this.classes = [];
    void this.load();
  }

  /** Loads the names; after a failure they are loaded when they are needed. */
  async load() {
    if (this.classes.length) return;
    const asked = this.set;
    const classes = await namedClasses().catch(() => []);
    if (asked !== this.set) return;
    this.classes = classes;
    find('names', HTMLDataListElement).replaceChildren(...classes.map(({ label }) => new Option(label, label)));
    this.#example();
  }

  #example() {
    const { searchAny, searchExample } = words.phone;
    this.input.placeholder = this.classes.length ? searchExample(examples(this.classes)[0]) : searchAny;
  }

  /** @param {string} name */
  #called(name) {
    const wanted = name.trim().toLowerCase();
    return this.classes.find(({ label }) => label.toLowerCase() === wanted);
  }

  #take() {
    const wanted = this.input.value.trim().toLowerCase();
    if (!wanted) return;
    if (!this.classes.length) return this.complain(words.common.problems.serverGone);
    const begins = this.classes.find(({ label }) => label.toLowerCase().startsWith(wanted));
    const within = this.classes.find(({ label }) => label.toLowerCase().includes(wanted));
    const found = this.#called(wanted) ?? begins ?? within;
    if (!found) return this.complain(words.phone.problems.unknownName(this.input.value.trim(), examples(this.classes)));
    this.input.value = '';
    this.complain('');
    this.found(found.class);
  }
}

/** The names of two classes, as examples. @param {NamedClass[]} classes */
function examples(classes) {
  const names = classes.map(({ label }) => label);
  const known = WELL_KNOWN.filter((name) => names.includes(name));
  return [...known, ...names.filter((name) => PLAIN.test(name) && !known.includes(name)), ...names].slice(0, 2);
}
