// @ts-check
/**
 * The five best classes as bars; a pinned class that left the five takes the last row.
 *
 * The best class of the frame on screen is in the first row, and its number is that frame's, as are those of the pinned
 * classes: they are written into the picture, too. From the top, rows have this frame's numbers down to the first name
 * that would have to move. Names move at most every half second, so that they can be read and tapped; until then the rows
 * below keep their numbers, if the list does not contradict itself: no number above a larger one, no sum above 100 %.
 * Otherwise all of it becomes this frame's at once, unless a finger is on it.
 */

import '../heat-colours.js'; // the bars' gradient
import { words } from '../i18n.js';
import { numberingOf } from '../protocol.js';
import { Row } from './row.js';

/** @typedef {import('../protocol.js').Report} Report */
/** @typedef {import('./row.js').Answer} Answer */

const ROWS = 5;
/** A name that moves faster can be neither read nor tapped. */
const BETWEEN_MOVES_MS = 500;
/** A mouse that moves over the list keeps its names for at most this long. */
const POINTS_MS = 1500;
/** A press without a release keeps the list's names for at most this long. */
const LONGEST_PRESS_MS = 1500;
/** Scores have six decimals. */
const ROUNDING = 0.00001;

export class Labels {
  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} hint the line below it
   * @param {(classNumber: number) => void} pressed
   */
  constructor(list, hint, pressed) {
    this.list = list;
    this.hint = hint;
    /** The classes in the rows. @type {number[]} */
    this.order = [];
    /** Since when names wait that are to move; Infinity: none does. */
    this.waits = Infinity;
    /** When names moved. */
    this.moved = 0;
    /** The names as they were fitted. */
    this.names = '';
    /** Whose class numbers these are. */
    this.numbering = '';
    /** The taught classes that the last report is of, '' for the model's own. */
    this.classSet = '';
    this.pressedAt = this.pointedAt = -Infinity;
    /** The next report is not to wait. */
    this.hurried = false;
    this.rows = Array.from({ length: ROWS }, () => new Row(pressed));
    list.append(...this.rows.map(({ item }) => item));
    new ResizeObserver(() => this.#fit()).observe(list);
    this.#watchPointer();
    this.clear();
  }

  #watchPointer() {
    for (const event of /** @type {const} */ (['pointerenter', 'pointermove'])) {
      this.list.addEventListener(event, ({ pointerType }) => { if (pointerType === 'mouse') this.pointedAt = performance.now(); });
    }
    this.list.addEventListener('pointerleave', () => { this.pointedAt = -Infinity; });
    this.list.addEventListener('pointerdown', () => { this.pressedAt = performance.now(); });
    for (const event of ['pointerup', 'pointercancel']) {
      // after the click that follows
      window.addEventListener(event, () => setTimeout(() => { this.pressedAt = -Infinity; }));
    }
  }

  /** Five empty rows, so that the layout is fixed before the first report. */
  clear() {
    this.order = [];
    this.moved = 0;
    this.waits = Infinity;
    this.rows.forEach((row) => { row.clear(); row.item.hidden = false; });
  }

  /** No current report: the names stay, without scores. */
  markStale() {
    this.rows.forEach((row) => row.show(row.answer && { ...row.answer, score: null, explained: false }));
  }

  /**
   * @param {Report} report of the frame on screen
   * @param {number[]} pinned the classes pinned now, which a later report confirms
   * @returns {boolean} whether every row now shows this report; if not, names wait
   */
  show(report, pinned) {
    this.#follow(report);
    const answers = answersOf(report, pinned);
    const wanted = chosen(report, answers, pinned);
    const next = this.#next(wanted, answers);
    if (!next) return false;
    const hint = pinned.length ? words.phone.hintPinned : words.phone.hint;
    if (this.hint.textContent !== hint) this.hint.textContent = hint;
    const used = report.classes.length ? Math.max(report.classes.length, next.length) : ROWS;
    this.rows.forEach((row, i) => {
      row.item.hidden = i >= used; // the model has fewer classes than rows
      row.show(next[i] ?? null);
    });
    const names = this.rows.map(({ name, item }) => [name.textContent, item.dataset.explained, item.dataset.pinned]).join();
    if (names !== this.names) this.#fit(); // it measures, which is too slow for each frame
    this.names = names;
    return this.waits === Infinity;
  }

  /** Other classes may have come: with other numbers, or with other names and fewer or more of them. @param {Report} report */
  #follow(report) {
    const numbering = numberingOf(report);
    if (numbering !== this.numbering) this.clear();
    else if (report.class_set !== this.classSet) this.hurry();
    this.numbering = numbering;
    this.classSet = report.class_set;
  }

  /**
   * @param {Answer[]} wanted this report's rows
   * @param {Map<number, Answer>} answers
   * @returns {Answer[] | null} the rows to show, null: they stay as they are
   */
  #next(wanted, answers) {
    const now = performance.now();
    const pressed = now - this.pressedAt < LONGEST_PRESS_MS;
    const still = this.#inPlace(wanted, answers);
    const whole = still?.every((answer) => wanted.includes(answer)) ?? false;
    if (!whole) this.waits = Math.min(this.waits, now);
    if (still && (whole || pressed || this.#mayWait(now))) {
      if (whole) this.#settled();
      return still;
    }
    if (pressed) return null;
    this.#settled();
    this.moved = now;
    this.order = wanted.map((answer) => answer.class);
    return wanted;
  }

  #settled() {
    this.waits = Infinity;
    this.hurried = false;
  }

  /** @param {number} now */
  #mayWait(now) {
    const pointed = now - this.pointedAt < POINTS_MS && now - this.waits < POINTS_MS;
    return !this.hurried && (pointed || now - this.moved < BETWEEN_MOVES_MS);
  }

  /**
   * @param {Answer[]} wanted this report's rows
   * @param {Map<number, Answer>} answers
   * @returns {Answer[] | null} the names as they stand, as many from the top as possible with this report's numbers;
   *   null: these names and this report contradict each other
   */
  #inPlace(wanted, answers) {
    const same = wanted.length === this.order.length && wanted[0]?.class === this.order[0];
    if (!same || wanted.some(({ class: number, pinned }) => pinned && !this.order.includes(number))) return null;
    const most = Math.max(1, sum(wanted)) + ROUNDING; // of independent classes it may be more than 1
    for (let current = this.order.length; current > 0; current--) {
      const rows = this.order.map((number, i) => this.#answer(i, answers.get(number), i < current));
      if (falls(rows) && sum(rows) <= most) return rows;
    }
    return null;
  }

  /**
   * @param {number} i the row's place
   * @param {Answer | undefined} answer this report's, if it has the row's class
   * @param {boolean} current whether the row is to have this report's number
   * @returns {Answer}
   */
  #answer(i, answer, current) {
    if (answer && (current || answer.pinned)) return answer;
    const before = /** @type {Answer} */ (this.rows[i].answer);
    return { ...before, pinned: answer?.pinned ?? '', explained: answer?.explained ?? false };
  }

  /** Shows all of the next report at once, because the person has just changed something. */
  hurry() {
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
  /** @type {import('./row.js').Place[]} */
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
  return [...answers.values()]
    .filter((answer) => sure.includes(answer.class) || others.includes(answer.class))
    .sort((a, b) => (b.score ?? 0) - (a.score ?? 0)); // pinned ones that left the five come in the order of pinning
}

/** Whether each row has a number, and none is above a larger one. @param {Answer[]} rows */
function falls(rows) {
  const numbers = rows.map(({ score }) => (score === null ? NaN : shown(score)));
  return numbers.every((number, i) => number <= (numbers[i - 1] ?? Infinity));
}

/** @param {Answer[]} rows */
function sum(rows) {
  return rows.reduce((all, { score }) => all + (score ?? 0), 0);
}

/** A score as the list shows it, in percent. @param {number} score */
function shown(score) {
  const millionths = Math.round(1e6 * score);
  return millionths < 99_500 ? Math.floor((millionths + 500) / 1000) / 10 : Math.floor((millionths + 5000) / 10_000);
}
