// @ts-check
/** One line of the list of classes: a button with the name, the probability and its bar. */

import { percent, words } from '../i18n.js';
import { FittedText } from './fitted-text.js';

/** @typedef {{class: number, label: string, score: number | null, pinned: Place, explained: boolean}} Answer */
/** A class's place among the pinned ones, which sets its colour. @typedef {'' | 'only' | 'first' | 'second'} Place */

/** A name gets two lines before its type is smaller than this part of the row's. */
const COMFORTABLE = 0.62;
/** From seeing a name to touching the screen. */
const REACTION_MS = 300;

export class Row {
  /** @param {(classNumber: number) => void} pressed */
  constructor(pressed) {
    this.item = document.createElement('li');
    this.button = this.item.appendChild(document.createElement('button'));
    this.button.type = 'button';
    this.button.append(part('reticle'), this.name = part('name'), this.tag = part('tag'), this.score = part('score'),
      this.bar = part('bar'));
    this.tag.textContent = words.common.pinned;
    this.fitted = new FittedText(this.name, COMFORTABLE);
    /** @type {Answer | null} */
    this.answer = null;
    /** The classes in this row within the reaction time, and since when. @type {{number: number | undefined, since: number}[]} */
    this.classes = [];

    /** @type {number | undefined} the class that was seen in the row when the finger or the key went down */
    let target;
    for (const event of ['pointerdown', 'keydown']) this.button.addEventListener(event, () => { target = this.seen; });
    this.button.addEventListener('click', () => {
      const number = target ?? this.seen;
      target = undefined;
      if (number !== undefined) pressed(number);
    });
  }

  /** The class that a person who acts now has seen in this row: the one that was there a reaction time ago. */
  get seen() {
    const then = performance.now() - REACTION_MS;
    return this.classes.filter(({ since }) => since <= then).at(-1)?.number ?? this.answer?.class;
  }

  /** Shows nothing; what was in the row cannot be meant any more. */
  clear() {
    this.show(null);
    this.classes = [];
  }

  /** @param {Answer | null} answer */
  show(answer) {
    if (answer?.class !== this.answer?.class) this.#remember(answer?.class);
    this.answer = answer;
    this.#empty(!answer);
    this.#score(answer);
    this.item.dataset.class = answer ? String(answer.class) : '';
    this.item.dataset.pinned = answer?.pinned ?? '';
    this.item.dataset.explained = String(answer?.explained ?? false);
    this.button.setAttribute('aria-pressed', String(!!answer?.pinned));
    const name = answer?.label ?? '';
    if (this.name.textContent !== name) this.name.textContent = name;
  }

  /** @param {number | undefined} number of the class that comes into the row */
  #remember(number) {
    const now = performance.now();
    const gone = this.classes.filter(({ since }) => since <= now - REACTION_MS).length - 1; // but the last of them
    this.classes = [...this.classes.slice(Math.max(gone, 0)), { number, since: now }];
  }

  /** @param {Answer | null} answer */
  #score(answer) {
    const unknown = answer?.score === null;
    this.score.textContent = answer ? percent(answer.score ?? 0) : '';
    if (unknown) this.score.textContent = '–';
    this.bar.hidden = unknown; // an empty bar would say 0 %
    this.bar.style.setProperty('--score', (answer?.score ?? 0).toFixed(3));
  }

  /** A row without a class keeps its place and has no name to read. @param {boolean} empty */
  #empty(empty) {
    this.button.disabled = empty;
    this.item.ariaHidden = empty ? 'true' : null;
  }
}

/** @param {string} name */
function part(name) {
  const span = document.createElement('span');
  span.className = name;
  return span;
}
