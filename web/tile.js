// @ts-check
/**
 * One session on the wall: its explained picture, on wish the camera's beside it, and what the network says.
 *
 * It keeps its connections: one that breaks off is made again until the wall takes the tile away.
 */

import { Labels } from './labels.js';
import { placing } from './mosaic.js';
import { Problem } from './problem.js';
import { Viewer } from './viewer.js';
import { percent, words } from './words.js';

/** @typedef {import('./protocol.js').Report} Report */
/** @typedef {import('./sessions.js').Session} Session */

/** A heatmap older than this is seen to lag behind a hand that moves. */
const LATE_MS = 200;
const AGAIN_MS = [300, 1000, 2000, 4000];
const SIZE_UNTIL_KNOWN = /** @type {[number, number]} */ ([4, 3]);

export class Tile {
  /**
   * @param {Session} session
   * @param {(classNumber: number) => void} pressed a label
   * @param {() => void} enlarge
   */
  constructor(session, pressed, enlarge) {
    this.session = session;
    /** @type {Report | null} */
    this.report = null;
    this.closed = false;
    this.sideBySide = false;
    this.small = false;

    this.element = document.createElement('article');
    this.element.className = 'tile';
    this.element.dataset.session = session.id;
    const pictures = part(this.element, 'div', 'pictures');
    this.explained = new Screen(pictures, session.id, 'explained', words.wall.explainedPicture, {
      report: (report) => this.#take(report),
      changed: () => this.#changed(),
    });
    this.camera = new Screen(pictures, session.id, 'camera', words.wall.cameraPicture, {
      report: () => {},
      changed: () => this.#changed(),
    });
    this.signs = part(pictures, 'p', 'signs');
    this.opens = part(pictures, 'button', 'opens');
    this.opens.type = 'button';
    this.opens.addEventListener('click', enlarge);

    const says = part(this.element, 'div', 'says');
    this.answer = part(says, 'ol', 'answer');
    const list = part(says, 'ol', 'labels');
    list.setAttribute('aria-label', words.wall.labels);
    this.labels = new Labels(list, document.createElement('p'), pressed);
    this.trouble = part(says, 'p', 'trouble');
    this.trouble.setAttribute('role', 'status');

    new ResizeObserver(() => this.#place()).observe(this.element);
    this.show({ sideBySide: false, small: false });
    this.#changed();
    this.explained.run();
  }

  /** @param {{sideBySide: boolean, small: boolean}} how */
  show({ sideBySide, small }) {
    this.sideBySide = sideBySide;
    this.small = small;
    this.element.dataset.small = String(small);
    this.opens.hidden = !small;
    if (sideBySide) this.camera.run();
    else this.camera.rest();
    this.#place();
  }

  /** The class in a row of the list, the best first. @param {number} place from 0 */
  classAt(place) {
    return this.labels.rows[place]?.answer?.class;
  }

  get aspect() {
    const [width, height] = this.explained.size ?? this.session.size ?? SIZE_UNTIL_KNOWN;
    return width / height;
  }

  close() {
    this.closed = true;
    this.explained.rest();
    this.camera.rest();
    this.element.remove();
  }

  /** @param {Report} report */
  #take(report) {
    this.report = report;
    this.labels.show(report, report.view.hold);
    this.#answer(report);
    this.#signs(report);
  }

  /** The explained classes, large: the held ones, else the best, which changes as calmly as the list. @param {Report} report */
  #answer(report) {
    const best = this.labels.rows[0]?.answer;
    const shown = report.view.hold.length ? report.held : best ? [best] : [];
    while (this.answer.children.length > shown.length) this.answer.lastElementChild?.remove();
    while (this.answer.children.length < shown.length) {
      const item = part(this.answer, 'li', '');
      part(item, 'span', 'name');
      part(item, 'span', 'score');
    }
    const { hidden } = report;
    shown.forEach(({ class: classNumber, label, score }, i) => {
      const [name, number] = this.answer.children[i].children;
      const compared = hidden?.class === classNumber;
      say(name, label);
      say(number, compared ? words.wall.without(percent(hidden.before), percent(hidden.after)) : percent(score));
      number.classList.toggle('compared', compared);
    });
    this.answer.dataset.held = String(report.view.hold.length);
    const longest = Math.max(4, ...shown.flatMap(({ label }) => label.split(/[\s-]/).map((word) => word.length)));
    this.answer.style.setProperty('--longest', String(longest));
    say(this.opens, '');
    this.opens.setAttribute('aria-label', words.wall.enlarge(shown.map(({ label }) => label).join(', ')));
  }

  /** @param {Report} report */
  #signs({ state, age_ms: age, engine, frozen, view, recording }) {
    const { signs } = words.wall;
    const texts = [
      frozen ? signs.frozen : '',
      view.hide ? signs.hidden : '',
      state === 'stalled' ? signs.stalled : '',
      engine === 'restarting' ? signs.restarting : '',
      state === 'carried' && (age ?? 0) > LATE_MS ? signs.carried(Math.round(age ?? 0)) : '',
      recording.state === 'on' ? signs.recording : '',
    ].filter(Boolean);
    if (this.signs.childElementCount !== texts.length
      || texts.some((text, i) => this.signs.children[i].textContent !== text)) {
      this.signs.replaceChildren(...texts.map((text) => {
        const sign = document.createElement('span');
        sign.textContent = text;
        if (text === signs.recording) sign.className = 'recording';
        return sign;
      }));
    }
    this.element.dataset.frozen = String(Boolean(frozen));
  }

  #changed() {
    this.element.dataset.state = this.explained.state;
    const problem = this.explained.problem || (this.sideBySide ? this.camera.problem : '');
    say(this.trouble, problem);
    this.trouble.hidden = !problem;
    this.#place();
  }

  #place() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || !height) return;
    const place = placing(this.aspect, this.sideBySide, { width, height });
    this.element.dataset.words = this.small ? 'under' : place.words;
    this.element.dataset.pair = this.sideBySide ? place.pair : 'none';
    this.element.style.setProperty('--width', `${place.width}px`);
    this.element.style.setProperty('--height', `${place.height}px`);
    this.element.style.setProperty('--aspect', String(this.aspect));
  }
}

/** A video element and the viewer behind it, which is made again when it breaks off. */
class Screen {
  /**
   * @param {HTMLElement} parent
   * @param {string} session
   * @param {'explained' | 'camera'} stream
   * @param {string} label
   * @param {{report: (report: Report) => void, changed: () => void}} listener
   */
  constructor(parent, session, stream, label, listener) {
    this.session = session;
    this.stream = stream;
    this.listener = listener;
    /** @type {'resting' | 'connecting' | 'seen' | 'broken'} */
    this.state = 'resting';
    this.problem = '';
    this.tries = 0;
    /** @type {Viewer | null} */
    this.viewer = null;
    /** @type {number | undefined} */
    this.timer = undefined;
    this.video = part(parent, 'video', stream);
    this.video.muted = this.video.autoplay = this.video.playsInline = true;
    this.video.disablePictureInPicture = true;
    this.video.setAttribute('aria-label', label);
    this.video.hidden = true;
    this.video.addEventListener('resize', () => listener.changed());
  }

  /** @returns {[number, number] | null} */
  get size() {
    return this.video.videoWidth ? [this.video.videoWidth, this.video.videoHeight] : null;
  }

  run() {
    if (this.state !== 'resting') return;
    this.tries = 0;
    this.video.hidden = false;
    void this.#dial();
  }

  rest() {
    if (this.state === 'resting') return;
    clearTimeout(this.timer);
    this.viewer?.close();
    this.viewer = null;
    this.video.srcObject = null;
    this.video.hidden = true;
    this.#become('resting', '');
  }

  async #dial() {
    this.#become(this.tries ? 'broken' : 'connecting', this.problem);
    const viewer = new Viewer(this.video, this.session, this.stream, {
      report: this.listener.report,
      seen: () => { this.tries = 0; this.#become('seen', ''); },
      over: (problem) => this.#again(problem),
    });
    this.viewer = viewer;
    try {
      await viewer.open();
    } catch (error) {
      if (this.viewer === viewer) this.#again(Problem.of(error));
    }
  }

  /** @param {Problem} problem */
  #again(problem) {
    this.viewer = null;
    // At once a session has ended or a network stuttered; only what lasts is said.
    this.#become('broken', this.tries ? problem.message : '');
    this.timer = setTimeout(() => void this.#dial(), AGAIN_MS[Math.min(this.tries, AGAIN_MS.length - 1)]);
    this.tries += 1;
  }

  /** @param {'resting' | 'connecting' | 'seen' | 'broken'} state @param {string} problem */
  #become(state, problem) {
    this.state = state;
    this.problem = problem;
    this.video.dataset.state = state;
    this.listener.changed();
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {HTMLElement} parent
 * @param {K} kind
 * @param {string} name
 * @returns {HTMLElementTagNameMap[K]}
 */
function part(parent, kind, name) {
  const element = document.createElement(kind);
  if (name) element.className = name;
  return parent.appendChild(element);
}

/** @param {Element} element @param {string} text */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
