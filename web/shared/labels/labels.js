// @ts-check
/**
 * The five best classes as bars; a pinned class that left the five takes the last row.
 *
 * The rows are fixed and classes move between them: at most once a second, and not under a mouse that moves over the
 * list while the best class is in it. The best is always first; the others swap only when the difference is visible.
 * Scores change more often, and each is one that the model gave: a class that left the five has no score. In a ranked
 * list, scores wait for the order instead of contradicting it. A press pins the class that the person saw, which is the
 * one that was in the row a moment before.
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
/** Numbers that change faster cannot be read: on a phone, and from a distance. */
const BETWEEN_MS = 120;
const BETWEEN_FAR_MS = 300;
/** A class overtakes its neighbour when it is more probable by this factor. */
const OVERTAKES = 1.15;
/** A name that changes faster cannot be tapped. */
const BETWEEN_MOVES_MS = 1000;
/** A mouse that has not moved for this long is not pointing at the list. */
const POINTS_MS = 3000;
/** From seeing a name to touching the screen. */
const REACTION_MS = 300;
/** A press without a release stops the list for at most this long. */
const LONGEST_PRESS_MS = 1500;

export class Labels {
  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} hint the line below it
   * @param {(classNumber: number) => void} pressed
   * @param {boolean} ranked for a wall: the rows are numbered, so they are in the order of the scores shown
   */
  constructor(list, hint, pressed, ranked = false) {
    this.list = list;
    this.overtakes = ranked ? 1 : OVERTAKES;
    this.between = ranked ? BETWEEN_FAR_MS : BETWEEN_MS;
    this.ranked = ranked;
    this.hint = hint;
    /** @type {number[]} */
    this.order = [];
    /** The model whose class numbers these are. */
    this.model = '';
    this.drawn = this.moved = 0;
    this.pressedAt = -Infinity;
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
    if (now - this.drawn < this.between || now - this.pressedAt < LONGEST_PRESS_MS) return false;
    this.drawn = now;
    const hint = pinned.length ? words.phone.hintPinned : words.phone.hint;
    if (this.hint.textContent !== hint) this.hint.textContent = hint;
    const answers = answersOf(report, pinned);
    const known = this.order.includes(report.classes[0]); // if not, the scene has changed
    const complete = this.order.length === ROWS && pinned.every((number) => this.order.includes(number));
    const pointed = now - this.pointedAt < POINTS_MS;
    const stays = complete && known && (pointed || now - this.moved < BETWEEN_MOVES_MS);
    if (stays && this.ranked && !pointed && !descend(this.order.map((number) => answers.get(number)?.score ?? 0))) return false;
    if (!stays) {
      this.moved = now;
      this.order = calmOrder(this.order, chosen(report, answers, pinned), this.overtakes);
    }
    const used = report.classes.length ? Math.max(report.classes.length, answers.size) : ROWS;
    this.rows.forEach((row, i) => {
      row.item.hidden = i >= used; // the model has fewer classes than rows
      const answer = answers.get(this.order[i]);
      const former = row.answer && row.answer.class === this.order[i] ? row.answer : null;
      row.show(answer ?? (former && { ...former, score: null, pinned: '', explained: false }));
    });
    this.#fit();
    return true;
  }

  #fit() {
    this.rows.forEach(({ fitted }) => fitted.fit());
  }

  /** Draws the next report at once, because the person has just changed something. */
  hurry() {
    this.drawn = 0;
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
    this.item.dataset.class = answer ? String(answer.class) : '';
    this.item.dataset.pinned = answer?.pinned ?? '';
    this.item.dataset.explained = String(answer?.explained ?? false);
    this.button.setAttribute('aria-pressed', String(!!answer?.pinned));
    this.name.textContent = answer?.label ?? '';
    this.score.textContent = answer ? (answer.score === null ? '–' : percent(answer.score)) : '';
    this.bar.style.setProperty('--score', (answer?.score ?? 0).toFixed(3));
  }

  /** A row without a class keeps its place and has no name to read. @param {boolean} empty */
  #empty(empty) {
    this.button.disabled = empty;
    this.item.ariaHidden = empty ? 'true' : null;
  }
}

/** @param {number[]} scores */
function descend(scores) {
  return scores.every((score, i) => i === 0 || score <= scores[i - 1]);
}

/** @param {string} name */
function part(name) {
  const span = document.createElement('span');
  span.className = name;
  return span;
}

/**
 * The classes in row order: the best first, the others as close to their former rows as their scores allow.
 *
 * @param {number[]} before
 * @param {Answer[]} answers best first
 * @param {number} overtakes the factor by which a class must be more probable to swap
 */
function calmOrder(before, answers, overtakes) {
  const score = new Map(answers.map((answer) => [answer.class, answer.score]));
  const [best, ...rest] = answers.map((answer) => answer.class);
  if (best === undefined) return [];
  const others = before.filter((number) => number !== best && score.has(number));
  others.push(...rest.filter((number) => !others.includes(number)));
  const scoreOf = (/** @type {number} */ number) => score.get(number) ?? 0;
  for (let end = others.length - 1; end > 0; end--) {
    for (let i = 0; i < end; i++) {
      if (scoreOf(others[i + 1]) > scoreOf(others[i]) * overtakes) [others[i], others[i + 1]] = [others[i + 1], others[i]];
    }
  }
  return [best, ...others];
}
