// @ts-check
/** The choice of the map that is drawn: its method, and its layer by the grid. Hidden where there is only one. */

import { find } from '../dom.js';
import { cells, nameOfLayer, nameOfMethod } from './map-names.js';

/** @typedef {import('./models-api.js').ListedMap} ListedMap */
/** @typedef {import('./models-api.js').MapChoice} MapChoice */

export class MapPicker {
  /** @param {(map: MapChoice) => void} chosen called with another map of the current model */
  constructor(chosen) {
    this.chosen = chosen;
    this.method = find('map-method', HTMLSelectElement);
    this.layer = find('map-layer', HTMLSelectElement);
    /** @type {ListedMap[]} */
    this.maps = [];
    this.method.addEventListener('change', () => {
      const { layer } = this.#current;
      const maps = this.#by(this.method.value);
      this.chosen(maps.find((map) => map.layer === layer) ?? maps[0]);
    });
    this.layer.addEventListener('change', () => {
      this.chosen({ method: this.#current.method, layer: this.layer.value });
    });
  }

  /** Whether there is a choice. */
  get offered() { return this.maps.length > 1; }

  /** @param {ListedMap[]} maps of the current model @param {boolean} busy a change is being made, so none can be chosen */
  show(maps, busy) {
    this.maps = maps;
    const { method, layer } = this.#current;
    const methods = [...new Set(maps.map((map) => map.method))];
    const layers = this.#by(method);
    fill(this.method, methods.map((name) => [nameOfMethod(name), name]), method, busy);
    fill(this.layer, layers.map((map) => [nameOfLayer(map, layers), map.layer]), layer, busy);
  }

  /** @returns {MapChoice} */
  get #current() {
    return this.maps.find(({ current }) => current) ?? { method: '', layer: '' };
  }

  /** The maps by a method, the coarsest first. @param {string} method */
  #by(method) {
    return this.maps.filter((map) => map.method === method).sort((a, b) => cells(a) - cells(b));
  }
}

/** @param {HTMLSelectElement} select @param {[string, string][]} options texts and values @param {string} value @param {boolean} busy */
function fill(select, options, value, busy) {
  const key = JSON.stringify(options);
  if (select.dataset.options !== key) select.replaceChildren(...options.map(([text, name]) => new Option(text, name)));
  select.dataset.options = key;
  select.value = value;
  select.disabled = busy;
  select.closest('label')?.toggleAttribute('hidden', options.length < 2);
}
