// @ts-check
/**
 * The panel that teaches the model classes of one's own, beside the live picture.
 *
 * All devices teach the same classes, so the state is the server's: it is loaded again once a second while the panel is
 * open, now and then while it is closed, and when a report is of other classes.
 */

import { find } from '../../shared/dom.js';
import { words } from '../../shared/i18n.js';
import { addClass, changeTeaching, removeClass, removeExample, renameClass, teaching } from '../../shared/model/teaching-api.js';
import { UserError } from '../../shared/user-error.js';
import { ClassList } from './class-list.js';
import { ExampleDialog } from './example-dialog.js';
import { Keeping } from './keeping.js';
import { Learned } from './learned.js';
import { NewClass } from './new-class.js';
import { Shown } from './shown.js';
import { Undo } from './undo.js';

/** @typedef {import('../../shared/model/teaching-api.js').Teaching} Teaching */
/** @typedef {import('../../shared/protocol.js').Command} Command */
/** @typedef {import('../../shared/protocol.js').Report} Report */

const OPEN_MS = 1000;
const CLOSED_MS = 5000;

export class Teach {
  /**
   * @param {(command: Command) => void} send
   * @param {(sentence: string, good?: boolean) => void} complain
   * @param {() => void} saved the taught model is one of those on the computer now
   */
  constructor(send, complain, saved) {
    this.complain = complain;
    this.button = find('teach-open', HTMLButtonElement);
    this.panel = find('teach', HTMLElement);
    this.title = find('teach-title', HTMLElement);
    this.why = find('teach-why', HTMLElement);
    this.warning = find('teach-warning', HTMLElement);
    this.body = find('teach-body', HTMLElement);
    this.how = find('teach-how', HTMLElement);
    this.host = this.running = false;
    /** @type {Teaching | null} */
    this.state = null;
    /** Counts the requests, so that a late answer does not undo a newer one. */
    this.asked = this.answered = 0;
    this.askedAt = -Infinity;
    /** The class set of the last report. @type {string | null} */
    this.classSet = null;

    this.shown = new Shown((shows) => void this.#change({ shows }));
    this.list = new ClassList({
      teach: (number) => send({ teach: number }),
      renamed: (number, name) => void this.#do(() => renameClass(number, name)),
      removed: (number) => void this.#do(() => removeClass(number)),
      enlarged: (number, example) => this.#enlarge(number, example),
    });
    this.example = new ExampleDialog((id) => void this.#do(() => removeExample(id)));
    this.newClass = new NewClass((name) => this.#do(() => addClass(name)));
    this.undo = new Undo(() => void this.#change({ undo: true }));
    this.learned = new Learned();
    this.keeping = new Keeping((wanted) => this.#change(wanted), saved);

    this.button.addEventListener('click', () => this.open(true));
    find('teach-close', HTMLButtonElement).addEventListener('click', () => this.open(false));
    this.panel.addEventListener('keydown', (event) => { if (event.key === 'Escape') this.open(false); });
    document.addEventListener('visibilitychange', () => { if (document.hidden) this.list.release(); });
    setInterval(() => this.#look(), OPEN_MS);
  }

  get isOpen() { return !this.panel.hidden; }

  /** This device has joined. @param {boolean} host whether it may do more than give examples */
  join(host) {
    this.host = host;
    void this.#load();
  }

  /** @param {boolean} running whether the explained picture is on screen */
  run(running) {
    if (running === this.running) return;
    this.running = running;
    if (running) void this.#load();
    else this.stop();
  }

  /** The call is over, or has broken off. */
  stop() {
    this.classSet = null;
    this.list.drop();
    this.example.close();
    this.open(false);
  }

  /** The server refused a command. */
  refused() {
    this.list.drop();
  }

  /** @param {Report} report the newest */
  follow(report) {
    this.list.follow(report);
    const before = this.classSet;
    this.classSet = report.class_set;
    if (before === this.classSet) return;
    if (before !== null && !before !== !this.classSet) this.complain(words.phone.teach.showsNow[this.classSet ? 'taught' : 'own'], true);
    void this.#load();
  }

  /** @param {Report} report of the picture on screen */
  live(report) {
    if (this.isOpen) this.list.live(report);
  }

  /** @param {boolean} open */
  open(open) {
    if (open === this.isOpen) return;
    this.list.release();
    this.panel.hidden = !open;
    document.body.dataset.teaching = String(open);
    this.button.setAttribute('aria-expanded', String(open));
    if (open) {
      void this.#load();
      this.title.focus({ preventScroll: true });
    } else if (this.running) this.button.focus({ preventScroll: true });
  }

  #look() {
    if (!this.running || document.hidden) return;
    if (performance.now() - this.askedAt >= (this.isOpen ? OPEN_MS / 2 : CLOSED_MS)) void this.#load();
  }

  /** Without an answer the page stays as it is: the call says that the server is gone. */
  async #load() {
    const number = this.#next();
    try {
      this.#take(number, await teaching());
    } catch (reason) {
      console.info('teaching:', reason);
    }
  }

  /** @param {Parameters<typeof changeTeaching>[0]} wanted */
  async #change(wanted) {
    const number = this.#next();
    this.answered = number; // what was asked for before is as it was before
    try {
      this.#take(number, await changeTeaching(wanted));
    } catch (reason) {
      this.complain(UserError.of(reason).message);
      await this.#load();
    }
  }

  /** Does something and shows what has come of it. @param {() => Promise<unknown>} task @returns {Promise<boolean>} whether it succeeded */
  async #do(task) {
    try {
      await task();
      return true;
    } catch (reason) {
      this.complain(UserError.of(reason).message);
      return false;
    } finally {
      await this.#load();
    }
  }

  #next() {
    this.askedAt = performance.now();
    this.asked += 1;
    return this.asked;
  }

  /** @param {number} number of the request @param {Teaching} state */
  #take(number, state) {
    if (number < this.answered) return;
    this.answered = number;
    this.state = state;
    const { possible, says, warning, phones, classes } = state;
    const may = this.host || phones;
    this.button.hidden = !(may && (possible || this.host));
    if (this.isOpen && this.button.hidden) this.open(false);
    this.why.hidden = possible;
    this.why.textContent = possible ? '' : words.common.problems.serverSays(says);
    this.warning.hidden = !warning || !this.host;
    this.warning.textContent = warning ? words.common.problems.serverSays(warning) : '';
    this.body.hidden = !possible;
    if (!possible) return;
    this.how.hidden = classes.filter(({ examples }) => examples).length > 1;
    this.shown.show(state, this.host);
    this.list.show(state, this.host);
    this.newClass.show(state);
    this.undo.show(state, this.host);
    this.learned.show(state);
    this.keeping.show(state, this.host);
  }

  /** @param {number} number @param {number} example */
  #enlarge(number, example) {
    const taught = this.state?.classes.find((one) => one.class === number);
    const removable = taught?.removable.includes(example) ?? false;
    this.example.open({ example, class: number, name: taught?.name ?? '', classSet: this.state?.class_set ?? null, removable });
  }
}
