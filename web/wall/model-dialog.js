// @ts-check
/** The dialog in which the host chooses another model, or another map of the current one. */

import { find, made } from '../shared/dom.js';
import { words } from '../shared/i18n.js';
import { nameOfMap } from '../shared/model/map-names.js';
import { MapPicker } from '../shared/model/map-picker.js';
import { changeModel, loading, models } from '../shared/model/models-api.js';
import { UserError } from '../shared/user-error.js';

/** @typedef {import('../shared/model/models-api.js').MapChoice} MapChoice */
/** @typedef {import('../shared/model/models-api.js').Models} Models */

/** A change that another page has requested is looked for again after this time. */
const AGAIN_MS = 1500;

export class ModelDialog {
  /** @param {(sentence: string) => void} note says something while the dialog is closed */
  constructor(note) {
    this.note = note;
    this.dialog = find('models', HTMLDialogElement);
    this.list = find('models-list', HTMLElement);
    this.status = find('models-status', HTMLElement);
    this.error = find('models-error', HTMLElement);
    /** The model that this page has requested and that is not ready. */
    this.requested = '';
    /** The map that was chosen here last, which is said while it is drawn. @type {MapChoice | null} */
    this.chosen = null;
    /** Whether it opens as soon as the list is read. */
    this.opening = false;
    /** @type {Models} */
    this.known = { models: [], changing: null, maps: [] };
    this.maps = new MapPicker((map) => void this.#draw(map));
  }

  get open() { return this.dialog.open; }

  /** Whether there is a choice: two or more models, or maps of the current one. */
  get offered() { return this.known.models.length > 1 || this.maps.offered; }

  /** The name of the current model. */
  get #current() { return this.known.models.find(({ current }) => current)?.name ?? ''; }

  close() {
    this.opening = false;
    this.dialog.close();
  }

  /** Reads the list again; after a failure the former one stays. */
  async load() {
    try {
      this.known = await models();
      if (this.known.changing && !this.requested && this.open) setTimeout(() => void this.load(), AGAIN_MS);
    } catch (reason) {
      console.info('models:', reason);
    }
    this.#show();
  }

  /** Opens the dialog if there is a choice, or closes it. */
  async toggle() {
    if (this.open || this.opening) return this.close();
    this.#complain('');
    this.chosen = null;
    this.opening = true;
    await this.load(); // another model may have been made meanwhile
    if (!this.opening) return;
    this.opening = false;
    if (!this.offered) return this.note(words.wall.oneModel);
    this.dialog.showModal();
    if (this.known.changing) void this.load();
    /** @type {HTMLElement | null} */ (this.list.querySelector('[aria-current=true]'))?.focus();
  }

  /** @param {string} name */
  async #choose(name) {
    this.requested = name;
    this.#complain('');
    this.#show();
    find('models-close', HTMLElement).focus(); // the pressed button is disabled now
    try {
      const { name: current } = await changeModel({ name });
      this.close();
      this.note(words.common.modelIs(current));
    } catch (reason) {
      this.#complain(UserError.of(reason).message);
    }
    this.requested = '';
    await this.load();
  }

  /** The dialog stays, because a method and then a layer may be chosen. @param {MapChoice} map */
  async #draw(map) {
    const focused = document.activeElement;
    this.requested = this.#current;
    this.#complain('');
    this.#show();
    try {
      await changeModel({ name: this.requested, map });
      this.chosen = map;
    } catch (reason) {
      this.#complain(UserError.of(reason).message);
    }
    this.requested = '';
    await this.load();
    if (focused instanceof HTMLElement && this.open) focused.focus();
  }

  #show() {
    const loads = this.requested || this.known.changing;
    const text = loads ? loading(loads, this.#current) : this.#drawn;
    this.maps.show(this.known.maps, Boolean(loads));
    find('maps', HTMLElement).hidden = !this.maps.offered;
    if (this.status.textContent !== text) this.status.textContent = text;
    this.list.setAttribute('aria-busy', String(Boolean(loads)));
    this.list.replaceChildren(...this.known.models.map(({ name, current, classes }) => {
      const item = document.createElement('li');
      const button = item.appendChild(made('button', '', name));
      button.type = 'button';
      button.disabled = Boolean(loads);
      button.setAttribute('aria-current', String(current));
      if (classes !== null) button.appendChild(made('span', 'classes', words.wall.classes(classes)));
      button.addEventListener('click', () => { if (current) this.close(); else void this.#choose(name); });
      return item;
    }));
  }

  /** Which map is drawn, if it was chosen here. */
  get #drawn() {
    const drawn = this.known.maps.find(({ current }) => current);
    const isChosen = drawn && drawn.method === this.chosen?.method && drawn.layer === this.chosen.layer;
    return isChosen ? words.common.maps.is(nameOfMap(drawn)) : '';
  }

  /** @param {string} sentence */
  #complain(sentence) {
    this.error.textContent = sentence;
    this.error.hidden = !sentence;
    if (sentence && !this.open) this.note(sentence);
  }
}
