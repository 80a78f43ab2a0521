// @ts-check
/**
 * The five best classes as bars; a pinned class that left the five takes the last row.
 *
 * The list is one report: its classes in the order of its scores, all changed at once. A report whose classes are the
 * shown ones in the shown order changes the scores only. One that would move names waits as a whole for the next one, if
 * they moved a moment ago or a mouse points at them; the best class of the picture on screen waits least. A press pins
 * the class that the person saw, which is the one that was in the row a moment before.
 */

import '../heat-colours.js'; // the bars' gradient
import { percent, words } from '../i18n.js';
import { FittedText } from './fitted-text.js';

/** @typedef {import('../protocol.js').Report} Report */
/** @typedef {{class: number, label: string, score: number | null, pinned: Place, explained: boolean}} Answer */
/** A class's place among the pinned ones, which sets its colour. @typedef {'' | 'only' | 'first' | 'second'} Place */

const ROWS = 5;
/** A name gets two lines before its type is smaller than this part of the row's. */
const COMFORTABLE = 0.62;
/** Rows that change places faster cannot be read: on a phone, and from a distance. */
const BETWEEN_MS = 120;
const BETWEEN_FAR_MS = 300;
/** A name that moves faster cannot be tapped. */
const BETWEEN_MOVES_MS = 500;
/** The name of the best class is in the picture, too; a list that contradicts it for longer would be noticed. */
const BETWEEN_BEST_MS = 300;
/** A mouse that moves over the list keeps it for at most this long. */
const POINTS_MS = 1500;
/** From seeing a name to touching the screen. */
const REACTION_MS = 300;
/** A press without a release stops the list for at most this long. */
const LONGEST_PRESS_MS = 1500;

export class Labels {
  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} hint the line below it
   * @param {(classNumber: number) => void} pressed
   * @param {boolean} far for a wall, whose numbers are read from a distance
   */
  constructor(list, hint, pressed, far = false) {
    this.list = list;
    this.between = far ? BETWEEN_FAR_MS : BETWEEN_MS;
    this.hint = hint;
    /** The classes in the rows. @type {number[]} */
    this.order = [];
    /** Since when a report waits that would move names; Infinity: none does. */
    this.waits = Infinity;
    /** The names as they were fitted. */
    this.names = '';
    /** The model whose class numbers these are. */
    this.model = '';
    this.drawn = this.moved = 0;
    this.pressedAt = -Infinity;
    /** The next report is not to wait. */
    this.hurried = false;
    this.rows = Array.from({ length: ROWS }, () => new Row(pressed));
    list.append(...this.rows.map(({ item }) => item));
    new ResizeObserver(() => this.#fit()).observe(list);
    this.pointedAt = -Infinity;
    for (const event of /** @type {const} */ (['pointerenter', 'pointermove'])) {
      list.addEventListener(event, ({ pointerType }) => { if (pointerType === 'mouse') this.pointedAt = performance.now(); });
    }
    list.addEventListener('pointerleave', () => { this.pointedAt = -Infinity; });
    list.addEventListener('pointerdown', () => { this.pressedAt = performance.now(); });
    for (const event of ['pointerup', 'pointercancel']) {
      // after the click that follows
      window.addEventListener(event, () => setTimeout(() => { this.pressedAt = -Infinity; }));
    }
    this.clear();
  }

  /** Five empty rows, so that the layout is fixed before the first report. */
  clear() {
    this.order = [];
    this.drawn = this.moved = 0;
    this.waits = Infinity;
    this.rows.forEach((row) => { row.show(null); row.item.hidden = false; });
  }

  /** No current report: the names stay, without scores. */
  markStale() {
    this.rows.forEach((row) => row.show(row.answer && { ...row.answer, score: null, explained: false }));
  }

  /**
   * @param {Report} report
   * @param {number[]} pinned the classes pinned now, which a later report confirms
   * @returns {boolean} whether the rows now show this report
   */
  show(report, pinned) {
    const now = performance.now();
    if (report.model !== this.model) {
      this.model = report.model;
      this.clear();
    }
    const answers = answersOf(report, pinned);
    const order = chosen(report, answers, pinned).map((answer) => answer.class);
    if (now - this.pressedAt < LONGEST_PRESS_MS || this.#mustWait(order, answers, now)) return false;
    this.drawn = now;
    this.hurried = false;
    const hint = pinned.length ? words.phone.hintPinned : words.phone.hint;
    if (this.hint.textContent !== hint) this.hint.textContent = hint;
    const used = report.classes.length ? Math.max(report.classes.length, order.length) : ROWS;
    this.rows.forEach((row, i) => {
      row.item.hidden = i >= used; // the model has fewer classes than rows
      row.show(answers.get(this.order[i]) ?? null);
    });
    const names = this.rows.map(({ name, item }) => [name.textContent, item.dataset.explained, item.dataset.pinned]).join();
    if (names !== this.names) this.#fit(); // it measures, which is too slow for each frame
    this.names = names;
    return true;
  }

  /**
   * Whether a report waits for a later one; otherwise `this.order` becomes its own, unless the shown one is as true.
   *
   * @param {number[]} order @param {Map<number, Answer>} answers @param {number} now
   */
  #mustWait(order, answers, now) {
    // The number that the server writes into the picture changes with each frame, so the list's does, too.
    if (this.#agrees(order, answers)) {
      this.waits = Infinity;
      return false;
    }
    if (now - this.drawn < this.between) return true;
    const known = this.order.includes(order[0]) && !this.hurried; // if not, the scene has changed
    const complete = order.length === this.order.length
      && [...answers.values()].every((answer) => !answer.pinned || this.order.includes(answer.class));
    const between = order[0] === this.order[0] ? BETWEEN_MOVES_MS : BETWEEN_BEST_MS;
    const pointed = now - this.pointedAt < POINTS_MS && now - Math.min(this.waits, now) < POINTS_MS;
    if (known && complete && (pointed || now - this.moved < between)) {
      this.waits = Math.min(this.waits, now);
      return true;
    }
    this.waits = Infinity;
    this.moved = now;
    this.order = order;
    return false;
  }

  /**
   * Whether the rows as they are show this report: its classes, the best first, no number above a larger one.
   *
   * @param {number[]} order @param {Map<number, Answer>} answers
   */
  #agrees(order, answers) {
    if (order.length !== this.order.length || order[0] !== this.order[0]) return false;
    if (!this.order.every((number) => order.includes(number))) return false;
    const scores = this.order.map((number) => shown(answers.get(number)?.score ?? 0));
    return scores.every((score, i) => i === 0 || score <= scores[i - 1]);
  }

  /** Draws the next report at once, because the person has just changed something. */
  hurry() {
    this.drawn = 0;
    this.hurried = true;
  }

  #fit() {
    this.rows.forEach(({ fitted }) => fitted.fit());
  }
}

/**
 * @param {Report} report
 * @param {number[]} pinned
 * @returns {Map<number, Answer>} all classes in the report, best first
 */
function answersOf(report, pinned) {
  const explained = pinned.length ? pinned : report.classes.slice(0, 1);
  /** @type {Place[]} */
  const places = pinned.length > 1 ? ['first', 'second'] : ['only'];
  /** @param {number} number @param {string} label @param {number} score @returns {Answer} */
  const answer = (number, label, score) => ({
    class: number, label, score, pinned: places[pinned.indexOf(number)] ?? '', explained: explained.includes(number),
  });
  const answers = new Map(report.classes.map((number, i) => [number, answer(number, report.labels[i], report.scores[i])]));
  for (const one of report.held) {
    if (!answers.has(one.class)) answers.set(one.class, answer(one.class, one.label, one.score));
  }
  return answers;
}

/**
 * @param {Report} report
 * @param {Map<number, Answer>} answers
 * @param {number[]} pinned
 * @returns {Answer[]} the classes that get a row: the pinned ones and the best of the others, best first
 */
function chosen(report, answers, pinned) {
  const sure = pinned.filter((number) => answers.has(number));
  const others = report.classes.filter((number) => !pinned.includes(number)).slice(0, ROWS - sure.length);
  return [...answers.values()].filter((answer) => sure.includes(answer.class) || others.includes(answer.class));
}

/** One line of the list: a button with the name, the probability and its bar. */
class Row {
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
    /** @type {Answer | null} what the row showed before `changed` */
    this.former = null;
    this.changed = -Infinity;

    /** @type {number | undefined} the class in the row when the finger or the key went down */
    let target;
    this.button.addEventListener('pointerdown', () => {
      const tooNew = performance.now() - this.changed < REACTION_MS && this.former;
      target = (tooNew || this.answer)?.class;
    });
    this.button.addEventListener('keydown', () => { target = this.answer?.class; });
    this.button.addEventListener('click', () => {
      const number = target ?? this.answer?.class;
      target = undefined;
      if (number !== undefined) pressed(number);
    });
  }

  /** @param {Answer | null} answer */
  show(answer) {
    if (answer?.class !== this.answer?.class) {
      this.former = this.answer;
      this.changed = performance.now();
    }
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

/** A score as the list shows it, in percent. @param {number} score */
function shown(score) {
  return score < 0.0995 ? Math.round(1000 * score) / 10 : Math.round(100 * score);
}

/** @param {string} name */
function part(name) {
  const span = document.createElement('span');
  span.className = name;
  return span;
}
