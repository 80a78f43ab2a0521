// @ts-check
/**
 * One attempt, from the button to its end: opens a source, calls, and reconnects when the call breaks.
 *
 * A new call continues the same session's recording.
 */

import { words } from '../../shared/i18n.js';
import { UserError } from '../../shared/user-error.js';
import { Call } from './call.js';

/** @typedef {import('../../shared/protocol.js').Command} Command */
/** @typedef {import('../../shared/protocol.js').Report} Report */
/** @typedef {import('../camera/camera.js').Source} Source */
/** @typedef {import('./latency.js').Latency} Latency */

/** The wait before each reconnection: a server restarts in seconds, a router in a minute. */
const AGAIN_MS = [500, 1000, 2000, 3000, ...Array(11).fill(5000)];

/**
 * @typedef {object} Listener
 * @property {(source: Source) => void} opened
 * @property {(call: Call, stream: MediaStream) => void} picture
 * @property {(report: Report) => void} report
 * @property {(sentence: string) => void} refused a command
 * @property {(problem: UserError) => Command} interrupted the call broke and another follows; returns the command that it
 *   starts with
 * @property {(how: 'done' | 'broken') => void} ended the source has no more frames
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
    this.settings = null;
    /** The recording's id, empty before it exists. */
    this.recording = '';
  }

  /** @param {() => Promise<Source>} openSource */
  async begin(openSource) {
    try {
      // Before the browser asks for the camera in vain.
      if (!('RTCPeerConnection' in window)) throw new UserError(words.common.problems.noCalls);
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

  /** The first frame of a call has returned. */
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
      ready: () => { if (this.settings) call.send(this.settings); },
      report: (report) => {
        this.recording = report.recording.id || this.recording;
        this.listener.report(report);
      },
      refused: (sentence) => this.listener.refused(sentence),
      lost: (problem) => {
        if (this.over || this.call !== call) return;
        this.latency.distrusted ||= !call.pictured;
        if (this.settings || this.live) void this.#again(problem);
        else this.#fail(problem);
      },
    }, this.codec, passing);
    this.call = call;
    await call.open(this.recording);
  }

  /**
   * Sends the same source in a new call, while the server may come back.
   *
   * @param {UserError} problem
   */
  async #again(problem) {
    if (this.live) {
      this.live = false;
      this.settings = this.listener.interrupted(problem);
    }
    this.call?.close();
    if (!problem.passes || this.tries >= AGAIN_MS.length || !this.source) return this.#fail(problem);
    await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS[this.tries]); });
    await visible(); // a phone in a pocket sends no frames
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

/** @returns {Promise<void>} when the page is visible */
async function visible() {
  while (document.hidden) {
    await new Promise((resolve) => { document.addEventListener('visibilitychange', resolve, { once: true }); });
  }
}
