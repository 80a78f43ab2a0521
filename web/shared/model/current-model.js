// @ts-check
/** What the server says of the model that explains the frames on screen; asked again when a report names another one. */

import { currentModel } from './models-api.js';

/** @typedef {import('../protocol.js').Report} Report */
/** @typedef {import('./models-api.js').Model} Model */

/** After a failure the server is asked again after this time. */
const AGAIN_MS = 3000;

export class CurrentModel {
  /** @param {(model: Model | null) => void} known called with each other model or map, and with null until it is known */
  constructor(known) {
    this.known = known;
    /** The model and map that it is about. */
    this.key = '';
    this.again = 0;
  }

  /** @param {Report} report the newest */
  show({ model, map }) {
    const key = keyOf(model, map);
    if (key === this.key || performance.now() < this.again) return;
    this.key = key;
    this.known(null);
    void this.#load();
  }

  async #load() {
    const asked = this.key;
    const found = await currentModel().catch(() => null);
    if (asked !== this.key) return;
    const drawn = found?.maps.find(({ current }) => current);
    if (found && drawn && keyOf(found.name, drawn) === asked) {
      this.known(found);
      return;
    }
    this.key = ''; // a session changes a moment after the server
    this.again = performance.now() + AGAIN_MS;
  }
}

/** @param {string} model @param {{method: string, layer: string}} map */
function keyOf(model, { method, layer }) {
  return JSON.stringify([model, method, layer]);
}
