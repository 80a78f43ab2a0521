// @ts-check
/** The taught classes in a list, and the one that gets examples from this session's picture. */

import { find } from '../../shared/dom.js';
import { words } from '../../shared/i18n.js';
import { ClassCard } from './class-card.js';

/** @typedef {import('../../shared/model/teaching-api.js').Teaching} Teaching */
/** @typedef {import('../../shared/protocol.js').Report} Report */

/** A command and the report that shows its effect take a round trip, which is long where the computer is busy. */
const ROUND_TRIP_MS = 3000;

/**
 * @typedef {object} Listener
 * @property {(number: number | null) => void} teach begins to give a class examples; null ends it
 * @property {(number: number, name: string) => void} renamed
 * @property {(number: number, name: string) => void} removed
 * @property {(number: number, example: number) => void} enlarged
 */

export class ClassList {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    this.list = find('taught', HTMLElement);
    this.said = find('teach-said', HTMLElement);
    /** @type {ClassCard[]} */
    this.cards = [];
    this.changed = -Infinity;
    /** Whether a report has shown the last change here: from then on reports say what is so. */
    this.confirmed = true;
  }

  /** The class that gets examples. @returns {ClassCard | undefined} */
  get held() {
    return this.cards.find(({ hold }) => hold.on);
  }

  /** @param {Teaching} teaching @param {boolean} host whether this device may rename and remove classes */
  show({ classes, limits }, host) {
    const gone = this.cards.filter(({ number }) => !classes.some((one) => one.class === number));
    const focused = gone.some(({ element }) => element.contains(document.activeElement));
    for (const card of gone) card.element.remove();
    if (focused) find('teach-title', HTMLElement).focus({ preventScroll: true });
    this.cards = classes.map((taught) => this.#card(taught.class));
    // A card that is in its place already keeps the finger and the focus on it.
    this.cards.forEach(({ element }, i) => {
      if (this.list.children[i] !== element) this.list.insertBefore(element, this.list.children[i] ?? null);
    });
    this.cards.forEach((card, i) => card.show(classes[i], { host, most: limits.examples }));
  }

  /** What the server says of the class that gets examples. @param {Report} report */
  follow({ teaching }) {
    this.confirmed ||= teaching?.class === this.held?.number;
    if (!this.confirmed && performance.now() - this.changed < ROUND_TRIP_MS) return;
    for (const card of this.cards) {
      if (card.number === teaching?.class) card.holding(true, teaching.examples);
      else if (card.hold.on) this.#over(card);
    }
  }

  /** @param {Report} report of the picture on screen */
  live({ class_set: classSet, classes, scores }) {
    for (const card of this.cards) {
      const place = classSet ? classes.indexOf(card.number) : -1;
      card.live(place < 0 ? null : scores[place]);
    }
  }

  /** Ends what a finger or a key holds. */
  release() {
    this.held?.hold.release();
  }

  /** The server refused a command, or the call is over: nothing is held. */
  drop() {
    this.confirmed = true;
    for (const card of this.cards) if (card.hold.on) this.#over(card);
  }

  /** @param {number} number */
  #card(number) {
    return this.cards.find((card) => card.number === number) ?? new ClassCard(number, {
      held: (one, on) => this.#held(one, on),
      renamed: this.listener.renamed,
      removed: (one) => this.listener.removed(one, this.#named(one)),
      enlarged: this.listener.enlarged,
    });
  }

  /** @param {number} number @param {boolean} on */
  #held(number, on) {
    this.changed = performance.now();
    this.confirmed = false;
    for (const card of this.cards) {
      if (card.number === number) card.holding(on);
      else if (card.hold.on) this.#over(card);
    }
    this.said.textContent = on ? words.phone.teach.begins(this.#named(number)) : this.#given(number);
    this.listener.teach(on ? number : null);
  }

  /** @param {ClassCard} card that gets no more examples */
  #over(card) {
    card.holding(false);
    this.said.textContent = this.#given(card.number);
  }

  /** @param {number} number */
  #given(number) {
    return words.phone.teach.given(this.#named(number), this.cards.find((card) => card.number === number)?.count ?? 0);
  }

  /** @param {number} number */
  #named(number) {
    return this.cards.find((card) => card.number === number)?.taught?.name ?? '';
  }
}
