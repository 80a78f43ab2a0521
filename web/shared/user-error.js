// @ts-check
/** An error with a message to show, which says what to do. */

import { coded, words } from './i18n.js';

/**
 * @typedef {'join' | 'call' | 'watch' | 'command' | 'model' | 'recordings' | 'film' | 'door' | 'teach' | 'example'
 *   | 'taught'} Asked what a request was for; `taught`: to save the taught model
 */

/** End codes after which a new call would end the same way. */
const FINAL = ['too-large', 'too-fast', 'too-many-streams'];

export class UserError extends Error {
  /**
   * @param {string} sentence
   * @param {ErrorOptions & {status?: number, code?: string, why?: string}} [options] HTTP status; code of a call that the server
   *   ended; what happened, without the advice
   */
  constructor(sentence, options) {
    super(sentence, options);
    this.status = options?.status ?? 0;
    this.code = options?.code ?? '';
    this.said = options?.why ?? '';
  }

  /**
   * The error for a refused request.
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

  /** The error for the server's last message in a call. @param {import('./protocol.js').Ended} ended */
  static ended({ code, reason }) {
    const { ended } = words.phone;
    return new UserError(coded(ended, code, [words.common.problems.serverSays(reason)]).join(' '), { code });
  }

  /** @param {unknown} reason anything that was thrown */
  static of(reason) {
    return reason instanceof UserError ? reason : new UserError(words.common.problems.unexpected(String(reason)));
  }

  /** The device has to join first. */
  get outside() { return this.status === 401; }

  /** Whether a retry may succeed. */
  get passes() {
    return !FINAL.includes(this.code) && (this.status === 0 || this.status === 429 || this.status >= 500);
  }

  /** Why the call ended, without the advice; empty if that is unknown. */
  get why() { return this.code ? coded(words.phone.ended, this.code, [words.phone.serverEnded])[0] : this.said; }
}
