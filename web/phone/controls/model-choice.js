// @ts-check
/** The choice of the model and of its map, shown to the host if there are two or more. */

import { find } from '../../shared/dom.js';
import { MapPicker } from '../../shared/model/map-picker.js';
import { changeModel, loading, models } from '../../shared/model/models-api.js';
import { UserError } from '../../shared/user-error.js';

/** @typedef {import('../../shared/protocol.js').Report} Report */
/** @typedef {import('../../shared/model/models-api.js').MapChoice} MapChoice */

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
    this.picker.addEventListener('change', () => void this.#choose({ name: this.picker.value }));
    this.maps = new MapPicker((map) => void this.#choose({ name: this.current, map }));
  }

  /** Lists the models; called when this device is the host, and when the list may have changed. */
  async offer() {
    this.allowed = true;
    try {
      const { models: all, changing, maps } = await models();
      if (this.picker.disabled) return; // the answer to a choice will be newer
      this.current = all.find(({ current }) => current)?.name ?? '';
      this.picker.replaceChildren(...all.map(({ name }) => new Option(name, name)));
      this.picker.value = this.current;
      this.maps.show(maps, false);
      find('model-choice', HTMLElement).hidden = all.length < 2;
      this.row.hidden = all.length < 2 && !this.maps.offered;
      this.status.textContent = changing ? loading(changing, this.current) : '';
      if (changing) setTimeout(() => void this.offer(), AGAIN_MS);
    } catch (reason) {
      console.info('models:', reason); // without the list there is no choice, and the picture continues
    }
  }

  /** Another model or map explains now. @param {Report} report */
  show({ model, map }) {
    const shown = this.maps.maps.find(({ current }) => current);
    if (this.allowed && (model !== this.current || map.method !== shown?.method || map.layer !== shown.layer)) void this.offer();
  }

  /** @param {{name: string, map?: MapChoice}} wanted */
  async #choose(wanted) {
    const focused = document.activeElement;
    this.picker.disabled = true;
    this.maps.show(this.maps.maps, true);
    this.status.textContent = loading(wanted.name, this.current);
    this.status.scrollIntoView({ block: 'nearest' });
    let { maps } = this.maps;
    try {
      ({ name: this.current, maps } = await changeModel(wanted));
    } catch (reason) {
      this.complain(UserError.of(reason).message);
    }
    this.picker.disabled = false;
    this.picker.value = this.current;
    this.maps.show(maps, false); // a method that is chosen next keeps the layer of now
    this.status.textContent = '';
    await this.offer();
    if (focused instanceof HTMLElement && this.row.contains(focused)) focused.focus({ preventScroll: true });
  }
}
