// @ts-check
/** Whether this computer records: said before a camera starts, and chosen by the host for all cameras. */

import { find } from '../../shared/dom.js';
import { words, write } from '../../shared/i18n.js';
import { UserError } from '../../shared/user-error.js';

/** @typedef {'on' | 'ask' | 'off'} Mode every camera is recorded, those whose person asks for it, or none */

const MODES = /** @type {Mode[]} */ (['on', 'ask', 'off']);
const PATH = '/api/recording';

export class RecordingChoice {
  /** @param {(sentence: string) => void} complain */
  constructor(complain) {
    this.complain = complain;
    this.promise = find('promise', HTMLElement);
    /** What the person has read. @type {Mode | ''} */
    this.mode = '';
    /** One on the page before a call, one among the settings. */
    this.pickers = ['record-all', 'record-all-live'].map((id) => find(id, HTMLSelectElement));
    for (const picker of this.pickers) {
      picker.append(...MODES.map((mode) => new Option(words.phone.recordModes[mode], mode)));
      picker.addEventListener('change', () => void this.#choose(/** @type {Mode} */ (picker.value)));
    }
  }

  /** @param {boolean} host whether this device may choose */
  async load(host) {
    const { mode, possible } = await ask(PATH);
    this.#show(mode);
    for (const picker of this.pickers) picker.closest('.record-all')?.toggleAttribute('hidden', !(host && possible));
  }

  /** Whether it is still as the person has read; otherwise the page says so first. */
  async isAsRead() {
    const before = this.mode;
    const found = await ask(PATH).catch(() => null);
    if (found) this.#show(found.mode);
    return !found || found.mode === before || found.mode === 'off';
  }

  /** @param {Mode} mode */
  #show(mode) {
    this.mode = mode;
    write(this.promise, `${words.phone.promise} ${words.phone.promises[mode]}`);
    for (const picker of this.pickers) picker.value = mode;
  }

  /** @param {Mode} mode */
  async #choose(mode) {
    const before = /** @type {Mode} */ (this.mode);
    try {
      this.#show((await ask(PATH, {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ mode }),
      })).mode);
    } catch (reason) {
      this.#show(before);
      this.complain(UserError.of(reason).message);
    }
  }
}

/** @param {string} path @param {RequestInit} [options] @returns {Promise<{mode: Mode, possible: boolean}>} */
async function ask(path, options) {
  const response = await fetch(path, options)
    .catch((error) => { throw new UserError(words.common.problems.serverGone, { cause: error }); });
  if (!response.ok) throw UserError.answered('recordings', response.status, await response.text());
  return response.json();
}
