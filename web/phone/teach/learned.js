// @ts-check
/** What came of the teaching: how often it is right, what it got wrong, and where it looks. Honest, also when it is little. */

import { find, made } from '../../shared/dom.js';
import { coloursOf } from '../../shared/heat-colours.js';
import { COLORMAPS } from '../../shared/colormaps.js';
import { percent, words } from '../../shared/i18n.js';
import { heatOf, mistakes, places } from '../../shared/model/teaching-api.js';
import { UserError } from '../../shared/user-error.js';

/** @typedef {import('../../shared/model/teaching-api.js').Mistake} Mistake */
/** @typedef {import('../../shared/model/teaching-api.js').Place} Place */
/** @typedef {import('../../shared/model/teaching-api.js').Teaching} Teaching */

export class Learned {
  constructor() {
    this.element = find('learned', HTMLElement);
    this.accuracy = find('accuracy', HTMLElement);
    /** @type {Teaching | null} */
    this.teaching = null;
    this.wrong = new Part('mistakes', async () => (await mistakes()).map((one) => this.#mistake(one)), words.phone.teach.noneWrong);
    this.where = new Part('places', async () => (await places()).map((one) => this.#place(one)), words.phone.teach.nowhere);
  }

  /** @param {Teaching} teaching */
  show(teaching) {
    const { teach } = words.phone;
    this.teaching = teaching;
    this.element.hidden = !teaching.class_set;
    if (!teaching.class_set) return;
    const { accuracy } = teaching;
    const right = accuracy && Math.round(accuracy.share * accuracy.tested);
    const sentence = accuracy ? teach.right(right ?? 0, accuracy.tested) : teach.tooFew;
    if (this.accuracy.textContent !== sentence) this.accuracy.textContent = sentence;
    // What is learned again looks elsewhere, and is wrong elsewhere; a new name is a new text.
    const key = JSON.stringify([teaching.class_set, teaching.classes.map(({ name }) => name)]);
    this.wrong.about(key);
    this.where.about(key);
  }

  /** @param {number} number */
  #named(number) {
    return this.teaching?.classes.find((one) => one.class === number)?.name ?? '';
  }

  /** @param {Mistake} mistake */
  #mistake({ example, class: number, taken_for: takenFor, probability }) {
    const sentence = words.phone.teach.takenFor(this.#named(number), this.#named(takenFor), percent(probability));
    const item = made('li', 'mistake');
    const image = item.appendChild(made('img', ''));
    Object.assign(image, { src: heatOf(example, takenFor, this.teaching?.class_set ?? ''), alt: words.phone.teach.heatOf(this.#named(takenFor)) });
    item.append(made('p', '', sentence));
    return item;
  }

  /** @param {Place} place */
  #place({ class: number, border, middle, grid, suspicious }) {
    const { teach } = words.phone;
    const item = made('li', 'place');
    const canvas = item.appendChild(made('canvas', ''));
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', teach.where(this.#named(number), percent(middle), percent(border)));
    draw(canvas, grid);
    const says = item.appendChild(made('div', ''));
    says.append(made('h3', '', this.#named(number)), made('p', '', teach.parts(percent(middle), percent(border))));
    if (suspicious) says.append(made('p', 'suspicious', teach.suspicious));
    return item;
  }
}

/** A part that is loaded when it is opened, and again when what it is about has changed. */
class Part {
  /** @param {string} id of a `details` with a list and a line @param {() => Promise<HTMLElement[]>} load @param {string} nothing said of an empty list */
  constructor(id, load, nothing) {
    this.details = find(id, HTMLDetailsElement);
    this.list = find(`${id}-list`, HTMLElement);
    this.status = find(`${id}-status`, HTMLElement);
    this.load = load;
    this.nothing = nothing;
    this.key = this.loaded = '';
    this.details.addEventListener('toggle', () => {
      if (!this.details.open && this.status.textContent) this.loaded = ''; // what failed is loaded again when it is opened
      void this.#update();
    });
  }

  /** @param {string} key what it is about */
  about(key) {
    this.key = key;
    void this.#update();
  }

  async #update() {
    if (!this.details.open || this.key === this.loaded) return;
    const asked = this.loaded = this.key;
    if (!this.list.childElementCount) this.status.textContent = words.phone.teach.looking;
    try {
      const items = await this.load();
      if (asked !== this.key) return;
      this.list.replaceChildren(...items);
      this.status.textContent = items.length ? '' : this.nothing;
    } catch (reason) {
      this.status.textContent = UserError.of(reason).message;
    }
  }
}

/** A small picture with one pixel for each place. @param {HTMLCanvasElement} canvas @param {number[][]} grid 0…1 */
function draw(canvas, grid) {
  const [rows, columns] = [grid.length, grid[0]?.length ?? 0];
  if (!rows || !columns) return;
  Object.assign(canvas, { width: columns, height: rows });
  const colours = coloursOf(COLORMAPS[0]);
  const pixels = new ImageData(columns, rows);
  grid.flat().forEach((heat, i) => {
    const at = 3 * Math.round(255 * Math.min(1, Math.max(0, heat)));
    pixels.data.set([...colours.subarray(at, at + 3), 255], 4 * i);
  });
  canvas.getContext('2d')?.putImageData(pixels, 0, 0);
}
