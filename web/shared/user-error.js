// @ts-check
/** A failure that a person can do something about: its message is the sentence to show. */

import { coded, words } from './i18n.js';

/** @typedef {'join' | 'call' | 'watch' | 'command' | 'recordings'} Asked what a request was for */

/** Why the server ended a call that would end again in the same way. */
const FINAL = ['too-large', 'too-fast', 'too-many-streams'];

export class UserError extends Error {
  /**
   * @param {string} sentence
   * @param {ErrorOptions & {status?: number, code?: string}} [options] the server's answer; why it ended a call
   */
  constructor(sentence, options) {
    super(sentence, options);
    this.status = options?.status ?? 0;
    this.code = options?.code ?? '';
  }

  /**
   * The sentence for an answer that is none.
   *
   * @param {Asked} asked
   * @param {number} status
   * @param {string} text the server's own words, in English
   */
  static answered(asked, status, text) {
    const { refusals, serverSays } = words.common.problems;
    const general = coded(refusals, String(status), serverSays(text.trim(), status));
    return new UserError(coded(refusals, `${asked} ${status}`, general), { status });
  }

  /** The sentence for the server's last word in a call. @param {import('./protocol.js').Ended} ended */
  static ended({ code, reason }) {
    const { ended } = words.phone;
    return new UserError(coded(ended, code, [words.common.problems.serverSays(reason)]).join(' '), { code });
  }

  /** @param {unknown} reason whatever was thrown */
  static of(reason) {
    return reason instanceof UserError ? reason : new UserError(words.common.problems.unexpected(String(reason)));
  }

  /** The device has to join first. */
  get outside() { return this.status === 401; }

  /** Whether the same may go well a little later. */
  get passes() {
    return !FINAL.includes(this.code) && (this.status === 0 || this.status === 429 || this.status >= 500);
  }

  /** What happened, without what to do about it, where the server ended a call. */
  get why() { return this.code ? coded(words.phone.ended, this.code, [words.phone.serverEnded])[0] : ''; }
}
