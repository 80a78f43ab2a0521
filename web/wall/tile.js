// @ts-check
/**
 * One session on the wall: its explained picture, optionally the camera's beside it, and the network's answer.
 *
 * A connection that breaks is made again until the wall removes the tile.
 */

import { made } from '../shared/dom.js';
import { EvidenceOnScreen } from '../shared/labels/evidence.js';
import { FittedText } from '../shared/labels/fitted-text.js';
import { span } from '../shared/format.js';
import { FrozenPicture } from '../shared/frozen-picture.js';
import { percent, words } from '../shared/i18n.js';
import { Labels } from '../shared/labels/labels.js';
import { leadOf, verdictOf } from '../shared/labels/verdict.js';
import { legendOf, showLegend } from '../shared/labels/difference-legend.js';
import { CurrentModel } from '../shared/model/current-model.js';
import { TaskNote } from '../shared/model/task-note.js';
import { ReportOnScreen } from '../shared/labels/report-on-screen.js';
import { placing } from './grid.js';
import { StreamVideo } from './stream-video.js';

/** @typedef {import('../shared/labels/evidence.js').Evidence} Evidence */
/** @typedef {import('../shared/model/teaching-api.js').Teaching} Teaching */
/** @typedef {import('../shared/protocol.js').Report} Report */
/** @typedef {import('./sessions-api.js').Session} Session */

/** A heatmap older than this visibly lags behind a moving hand. */
const LATE_MS = 200;
/** A report older than this is out of date. */
const SILENT_MS = 2500;
/** Below this part of the largest type, long words are broken: a word that only the first row can read is no answer. */
const COMFORTABLE = 0.3;
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
    /** The newest report that all of the list shows. @type {Report | null} */
    this.listed = null;
    /** What is taught, for all sessions; null: not known. @type {Teaching | null} */
    this.taught = null;
    this.closed = false;
    this.evidence = new EvidenceOnScreen();
    /** The last report that says whether a difference is drawn. @type {Report | null} */
    this.legend = null;
    /** When the last report arrived; Infinity before the first. */
    this.receivedAt = Infinity;
    this.silent = false;
    this.sideBySide = false;
    this.small = false;

    this.element = document.createElement('article');
    this.element.className = 'tile';
    this.element.dataset.session = session.id;
    const pictures = this.element.appendChild(made('div', 'pictures'));
    const onScreen = new ReportOnScreen((report) => this.#show(report));
    this.explained = new StreamVideo(pictures, session.id, 'explained', words.wall.explainedPicture, {
      report: (report) => { this.#take(report); onScreen.take(report); },
      changed: () => this.#changed(),
    });
    this.explained.eachFrame((metadata) => onScreen.shown(metadata));
    this.camera = new StreamVideo(pictures, session.id, 'camera', words.wall.cameraPicture, {
      report: () => {},
      changed: () => this.#changed(),
    });
    const still = pictures.appendChild(made('img', 'camera still'));
    still.alt = words.wall.cameraPicture;
    this.still = new FrozenPicture(still, () => { this.element.dataset.still = String(this.still.shown); });
    this.signs = pictures.appendChild(made('p', 'signs'));
    this.opens = pictures.appendChild(made('button', 'opens'));
    this.opens.type = 'button';
    this.opens.addEventListener('click', enlarge);

    const says = this.element.appendChild(made('div', 'says'));
    this.answer = says.appendChild(made('ol', 'answer'));
    this.fitted = new FittedText(this.answer, COMFORTABLE);
    new ResizeObserver(() => this.fitted.fit()).observe(this.answer);
    const scores = says.appendChild(made('div', 'scores'));
    const list = scores.appendChild(made('ol', 'labels'));
    list.setAttribute('aria-label', words.wall.labels);
    this.labels = new Labels(list, document.createElement('p'), pressed);
    const taskNote = new TaskNote(scores.appendChild(made('p', 'task')));
    this.currentModel = new CurrentModel((model) => {
      taskNote.show(model);
      this.signed = model?.signed ?? false;
    });
    /** Whether the model has signed maps, of which a difference is made. */
    this.signed = false;
    this.trouble = says.appendChild(made('p', 'trouble'));
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
    this.still.show(sideBySide ? this.report : null);
    this.#place();
  }

  /** The class that is seen in a row of the list. @param {number} place from 0, the best */
  classAt(place) {
    return this.labels.rows[place]?.seen;
  }

  /** Whether the difference of two classes can be drawn. */
  get canCompare() {
    return this.signed && this.report?.view.hold.length === 2;
  }

  /** Checks whether reports still arrive; if not, the old ones are hidden. */
  look() {
    const silent = performance.now() - this.receivedAt > SILENT_MS;
    if (silent === this.silent) return;
    this.silent = silent;
    this.#changed();
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
    this.receivedAt = performance.now();
    this.currentModel.show(report);
  }

  /** Everything that is shown belongs to one report, that of the frame on screen. @param {Report} report */
  #show(report) {
    if (this.labels.show(report, report.view.hold)) this.listed = report;
    const evidence = this.evidence.of(report);
    this.#answer(report, evidence);
    this.#signs(report, evidence);
  }

  /** The classes whose heat is drawn, in large type: the pinned ones, or the best one. @param {Report} report @param {Evidence | null} hidden */
  #answer(report, hidden) {
    const { view, held: pinned } = report;
    const best = report.classes.slice(0, 1).map((number) => ({ class: number, label: report.labels[0], score: report.scores[0] }));
    const shown = view.hold.length ? pinned : best;
    // A new scene has no result for a moment: the former answer is dimmed.
    this.answer.dataset.former = String(!shown.length);
    if (!shown.length) return;
    while (this.answer.children.length > shown.length) this.answer.lastElementChild?.remove();
    while (this.answer.children.length < shown.length) {
      const item = this.answer.appendChild(made('li', ''));
      item.appendChild(made('span', 'lead'));
      item.appendChild(made('span', 'name'));
      item.appendChild(made('span', 'score'));
    }
    shown.forEach(({ class: classNumber, label, score }, i) => {
      const item = /** @type {HTMLElement} */ (this.answer.children[i]);
      const [lead, name, number] = item.children;
      const verdict = verdictOf(report, classNumber);
      item.dataset.verdict = verdict;
      say(lead, leadOf(verdict));
      const compared = hidden?.class === classNumber;
      say(name, label);
      say(number, compared ? words.wall.without(percent(hidden.before), percent(hidden.after)) : percent(score));
      number.classList.toggle('compared', compared);
    });
    this.answer.dataset.pinned = String(view.hold.length);
    this.fitted.fit();
    say(this.opens, '');
    this.opens.setAttribute('aria-label', words.wall.enlarge(shown.map(({ label }) => label).join(', ')));
  }

  /** @param {Report} report @param {Evidence | null} evidence */
  #signs(report, evidence) {
    const { state, age_ms: age, engine, frozen, view, recording } = report;
    const { signs } = words.wall;
    // A frame without an explanation keeps the legend.
    if (report.classes.length || !view.difference) this.legend = report;
    const legend = this.legend ? legendOf(this.legend) : '';
    const texts = [
      frozen ? signs.frozen : '',
      view.hide ? hiding(evidence) : '',
      state === 'stalled' ? signs.stalled : '',
      engine === 'restarting' ? signs.restarting : '',
      state === 'carried' && (age ?? 0) > LATE_MS ? signs.carried(span(age ?? 0)) : '',
      legend,
      ...this.#taught(report),
      recording.state === 'on' ? signs.recording : '',
    ].filter(Boolean);
    if (this.signs.childElementCount !== texts.length
      || texts.some((text, i) => this.signs.children[i].textContent !== text)) {
      this.signs.replaceChildren(...texts.map((text) => {
        const sign = document.createElement('span');
        sign.textContent = text;
        if (text === signs.recording) sign.className = 'recording';
        if (text === legend && this.legend) showLegend(sign, this.legend);
        return sign;
      }));
    }
    this.element.dataset.frozen = String(Boolean(frozen));
    this.still.show(this.sideBySide ? report : null);
  }

  /** Whose examples are being taken, and which classes are shown if there are taught ones. @param {Report} report */
  #taught({ teaching, class_set: classSet }) {
    const { signs } = words.wall;
    const name = this.taught?.classes.find((one) => one.class === teaching?.class)?.name;
    return [
      teaching && name ? signs.teaches(this.session.giver ?? '', name, teaching.examples) : '',
      classSet ? signs.taught : this.taught?.class_set ? signs.own : '',
    ];
  }

  #changed() {
    this.element.dataset.state = this.explained.state;
    this.element.dataset.silent = String(this.silent);
    const problem = this.explained.problem || (this.sideBySide ? this.camera.problem : '') || (this.silent ? words.wall.silent : '');
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

/** Names the class if another one is shown in large type now. @param {Evidence | null} evidence */
function hiding(evidence) {
  const { signs, without } = words.wall;
  if (!evidence) return signs.hiding;
  const { label, before, after, ago, drawn } = evidence;
  const result = drawn ? '' : `: ${label} ${without(percent(before), percent(after))}`;
  return `${signs.hidden}${result}${ago ? `, ${words.phone.ago(ago)}` : ''}`;
}

/** @param {Element} element @param {string} text */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
