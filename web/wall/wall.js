// @ts-check
/**
 * All live sessions as tiles: one fills the wall, several form a grid in which one can be enlarged.
 *
 * A tile stays as long as the server lists its session.
 */

import { grid } from './grid.js';
import { Tile } from './tile.js';

/** @typedef {import('./sessions-api.js').Session} Session */

export class Wall {
  /**
   * @param {HTMLElement} element
   * @param {(tile: Tile, classNumber: number) => void} pressed a label of a tile
   * @param {() => void} changed called when another tile, or none, is the large one
   */
  constructor(element, pressed, changed) {
    this.element = element;
    this.pressed = pressed;
    this.changed = changed;
    /** @type {Tile[]} */
    this.tiles = [];
    /** The requested session, live or not. */
    this.wanted = '';
    this.sideBySide = false;
    new ResizeObserver(() => this.#lay()).observe(element);
  }

  /** The tile that fills the wall: the enlarged one, or the only one. @returns {Tile | null} */
  get large() {
    return this.tiles.find(({ session }) => session.id === this.wanted) ?? (this.tiles.length === 1 ? this.tiles[0] : null);
  }

  /** The tile that a key applies to: the large one, or the focused or hovered one. @returns {Tile | null} */
  get target() {
    return this.large ?? this.tiles.find(({ element }) => element.matches(':focus-within, :hover')) ?? null;
  }

  /** @param {Session[]} sessions */
  update(sessions) {
    const live = new Set(sessions.map(({ id }) => id));
    const before = this.tiles.length;
    this.tiles.filter(({ session }) => !live.has(session.id)).forEach((tile) => tile.close());
    this.tiles = this.tiles.filter((tile) => !tile.closed);
    for (const session of sessions) {
      const known = this.tiles.find((tile) => tile.session.id === session.id);
      if (known) known.session = session;
      else this.#add(session);
    }
    if (before !== this.tiles.length || this.tiles.some(({ element }) => !element.dataset.words)) this.#show();
  }

  /** @param {import('../shared/model/teaching-api.js').Teaching | null} state what is taught, for all sessions */
  teach(state) {
    for (const tile of this.tiles) tile.taught = state ?? tile.taught;
  }

  /** @param {string} id of the session to enlarge, '' for all */
  enlarge(id) {
    const from = this.large;
    this.wanted = id;
    this.#show();
    // Back in the grid the focus returns to the tile.
    if (!this.large && from) from.opens.focus({ preventScroll: true });
  }

  /** Enlarges the next or the previous tile. @param {1 | -1} step */
  turn(step) {
    const at = this.tiles.findIndex((tile) => tile === this.large);
    if (at < 0 || this.tiles.length < 2) return;
    this.enlarge(this.tiles[(at + step + this.tiles.length) % this.tiles.length].session.id);
  }

  /** @param {boolean} on the camera's picture beside the explained one */
  pair(on) {
    this.sideBySide = on;
    this.#show();
  }

  /** @param {Session} session */
  #add(session) {
    const tile = new Tile(session, (classNumber) => this.pressed(tile, classNumber), () => this.enlarge(session.id));
    this.tiles.push(tile);
    this.element.append(tile.element);
  }

  #show() {
    const { large } = this;
    this.element.dataset.count = String(this.tiles.length);
    for (const tile of this.tiles) {
      const shown = !large || tile === large;
      tile.element.hidden = !shown;
      if (shown) tile.show({ sideBySide: this.sideBySide && tile === large, small: !large });
    }
    this.#lay();
    this.changed();
  }

  #lay() {
    const { clientWidth: width, clientHeight: height } = this.element;
    const count = this.large ? 1 : this.tiles.length;
    const aspect = this.tiles.reduce((sum, tile) => sum + tile.aspect, 0) / Math.max(1, this.tiles.length);
    const { columns, rows } = grid(count, aspect, { width, height });
    this.element.style.setProperty('--columns', String(columns));
    this.element.style.setProperty('--rows', String(rows));
  }
}
