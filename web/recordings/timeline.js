// @ts-check
/**
 * A chart of the class probabilities over a recording's time. It is a slider for pointer and keys, whose value is the
 * time on screen.
 */

import { clock } from '../shared/format.js';
import { percent, words } from '../shared/i18n.js';

/** @typedef {import('./recordings-api.js').Course} Course */

const STEP_S = 1;
const LARGE_STEP_S = 10;
const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 1000;
const HEIGHT = 100;

export class Timeline {
  /**
   * @param {HTMLElement} element the slider
   * @param {(time: number) => void} seek
   */
  constructor(element, seek) {
    this.element = element;
    this.seek = seek;
    /** @type {Course} */
    this.course = { times: [], classes: [] };
    this.seconds = 0;
    this.time = 0;
    this.chart = /** @type {SVGSVGElement} */ (document.createElementNS(SVG, 'svg'));
    this.chart.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    this.chart.setAttribute('preserveAspectRatio', 'none');
    this.chart.setAttribute('aria-hidden', 'true');
    this.head = document.createElement('div');
    this.head.className = 'head';
    element.append(this.chart, this.head);
    element.setAttribute('role', 'slider');
    element.setAttribute('aria-valuemin', '0');
    element.tabIndex = 0;
    element.addEventListener('keydown', (event) => this.#key(event));
    element.addEventListener('pointerdown', (event) => {
      if (event.button) return;
      element.setPointerCapture(event.pointerId);
      this.#point(event);
    });
    element.addEventListener('pointermove', (event) => { if (element.hasPointerCapture(event.pointerId)) this.#point(event); });
  }

  /** @param {Course} course @param {number} seconds */
  show(course, seconds) {
    this.course = course;
    this.seconds = seconds;
    this.element.setAttribute('aria-valuemax', seconds.toFixed(1));
    const x = (/** @type {number} */ time) => ((time / Math.max(seconds, 0.001)) * WIDTH).toFixed(1);
    const y = (/** @type {number} */ score) => ((1 - score) * HEIGHT).toFixed(1);
    const rule = document.createElementNS(SVG, 'path');
    rule.setAttribute('d', `M0 ${HEIGHT / 2}H${WIDTH}`);
    rule.setAttribute('class', 'rule');
    // The first class is drawn last, over the others.
    this.chart.replaceChildren(rule, ...course.classes.map(({ class: number, scores }) => {
      const line = document.createElementNS(SVG, 'path');
      line.setAttribute('d', scores.map((score, at) => (score === null ? '' : (
        `${at && scores[at - 1] !== null ? 'L' : 'M'}${x(course.times[at])} ${y(score)}h0`
      ))).join(''));
      line.setAttribute('class', 'line');
      line.dataset.class = String(number);
      return line;
    }).reverse());
    this.at(this.time);
  }

  /**
   * @param {number} time that is on screen
   * @param {{label: string, score: number} | null} best class then; null: taken from the chart
   */
  at(time, best = null) {
    this.time = time;
    best ??= this.#best();
    this.head.style.setProperty('--at', String(this.seconds ? Math.min(1, time / this.seconds) : 0));
    this.element.setAttribute('aria-valuenow', time.toFixed(1));
    this.element.setAttribute('aria-valuetext', words.recordings.moment(
      clock(time), clock(this.seconds), best ? `${best.label} ${percent(best.score)}` : '',
    ));
  }

  #best() {
    /** @type {{label: string, score: number} | null} */
    let best = null;
    for (const { label, score } of this.scores()) if (score !== null && score > (best?.score ?? 0)) best = { label, score };
    return best;
  }

  /** The classes with their probabilities at the current time, in the order of the chart. */
  scores() {
    const { times, classes } = this.course;
    let at = times.length - 1;
    while (at > 0 && times[at] > this.time + 0.004) at -= 1;
    return classes.map(({ class: number, label, scores }) => ({ class: number, label, score: scores[at] ?? null }));
  }

  /** @param {number[]} chosen classes whose lines are highlighted */
  mark(chosen) {
    for (const line of /** @type {NodeListOf<SVGPathElement>} */ (this.chart.querySelectorAll('.line'))) {
      line.classList.toggle('chosen', chosen.includes(Number(line.dataset.class)));
    }
    this.chart.classList.toggle('choosing', chosen.length > 0);
  }

  /** @param {(place: number, line: Element) => void} paint called with each class's place in the course */
  eachLine(paint) {
    const lines = this.chart.querySelectorAll('.line');
    lines.forEach((line, i) => paint(lines.length - 1 - i, line)); // the first class is drawn last
  }

  /** @param {PointerEvent} event */
  #point({ clientX }) {
    const { left, width } = this.element.getBoundingClientRect();
    this.seek(Math.max(0, Math.min(1, (clientX - left) / width)) * this.seconds);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { time, seconds } = this;
    const to = {
      ArrowLeft: time - STEP_S, ArrowDown: time - STEP_S, ArrowRight: time + STEP_S, ArrowUp: time + STEP_S,
      PageDown: time - LARGE_STEP_S, PageUp: time + LARGE_STEP_S, Home: 0, End: seconds,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.seek(Math.max(0, Math.min(seconds, to)));
  }
}
