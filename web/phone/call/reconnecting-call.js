// @ts-check
/**
 * One try, from the button to its end: opens a source, calls, and calls again when the call breaks off.
 *
 * A call that is made again goes on in the same session's recording.
 */

import { UserError } from '../../shared/user-error.js';
import { Call } from './call.js';

/** @typedef {import('../../shared/protocol.js').Command} Command */
/** @typedef {import('../../shared/protocol.js').Report} Report */
/** @typedef {import('../camera/camera.js').Source} Source */
/** @typedef {import('./latency.js').Latency} Latency */

/** Before each new call of a try that broke off: a server is started again in seconds, a router in a minute. */
const AGAIN_MS = [500, 1000, 2000, 3000, ...Array(11).fill(5000)];

/**
 * @typedef {object} Listener
 * @property {(source: Source) => void} opened
 * @property {(call: Call, stream: MediaStream) => void} picture
 * @property {(report: Report) => void} report
 * @property {(sentence: string) => void} refused a command
 * @property {(problem: UserError) => Command} interrupted the call broke off, another one follows; answers what it shall
 *   begin with
 * @property {(how: 'done' | 'broken') => void} ended the source has no more pictures
 * @property {(problem: UserError) => void} failed
 */

export class ReconnectingCall {
  /** @param {Latency} latency @param {'h264' | 'vp8'} codec @param {Listener} listener */
  constructor(latency, codec, listener) {
    this.latency = latency;
    this.codec = codec;
    this.listener = listener;
    /** @type {Source | null} */
    this.source = null;
    /** @type {Call | null} */
    this.call = null;
    this.live = this.over = false;
    this.tries = 0;
    /** @type {Command | null} */
    this.wishes = null;
    /** The recording's id, once there is one. */
    this.recording = '';
  }

  /** @param {() => Promise<Source>} openSource */
  async begin(openSource) {
    try {
      const source = await openSource();
      if (this.over) return source.close();
      this.source = source;
      this.listener.opened(source);
      void source.over.then((how) => { if (!this.over) this.listener.ended(how); });
      await this.#dial(source);
    } catch (reason) {
      this.#fail(reason);
    }
  }

  /** The first picture of a call has come back. */
  settled() {
    this.live = true;
    this.tries = 0;
    this.call?.settled();
  }

  /** @param {Command} command */
  send(command) {
    this.call?.send(command);
  }

  close() {
    this.over = true;
    this.call?.close();
    this.source?.close();
  }

  /** @param {Source} source */
  async #dial(source) {
    const passing = (await this.latency.prepare()) ? this.latency.attach.bind(this.latency) : null;
    if (this.over) return;
    const call = new Call(source, {
      picture: (stream) => this.listener.picture(call, stream),
      connected: () => source.start(),
      ready: () => { if (this.wishes) call.send(this.wishes); },
      report: (report) => {
        this.recording = report.recording.id || this.recording;
        this.listener.report(report);
      },
      refused: (sentence) => this.listener.refused(sentence),
      lost: (problem) => {
        if (this.over || this.call !== call) return;
        this.latency.distrusted ||= !call.pictured;
        if (this.wishes || this.live) void this.#again(problem);
        else this.#fail(problem);
      },
    }, this.codec, passing);
    this.call = call;
    await call.open(this.recording);
  }

  /**
   * The same pictures in a new call, for as long as the server may come back.
   *
   * @param {UserError} problem
   */
  async #again(problem) {
    if (this.live) {
      this.live = false;
      this.wishes = this.listener.interrupted(problem);
    }
    this.call?.close();
    if (!problem.passes || this.tries >= AGAIN_MS.length || !this.source) return this.#fail(problem);
    await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS[this.tries]); });
    await seen(); // a phone in a pocket sends no picture
    this.tries += 1;
    if (this.over) return;
    try {
      await this.#dial(this.source);
    } catch (reason) {
      if (!this.over) await this.#again(UserError.of(reason));
    }
  }

  /** @param {unknown} reason */
  #fail(reason) {
    if (this.over) return;
    console.warn(reason);
    this.listener.failed(UserError.of(reason));
  }
}

/** @returns {Promise<void>} when somebody looks at the page */
async function seen() {
  while (document.hidden) {
    await new Promise((resolve) => { document.addEventListener('visibilitychange', resolve, { once: true }); });
  }
}
