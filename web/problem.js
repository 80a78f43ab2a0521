// @ts-check
/** A failure that a person can do something about: its message is the sentence to show. */

import { words } from './words.js';

export class Problem extends Error {
  /** @param {string} sentence @param {ErrorOptions & {status?: number}} [options] `status`: the server's answer */
  constructor(sentence, options) {
    super(sentence, options);
    this.status = options?.status ?? 0;
  }

  /**
   * The sentence for an answer that is none.
   *
   * @param {number} status
   * @param {string} text the server's own words, in English
   */
  static answered(status, text) {
    const { oldCode, manyCodes, full, serverRefused } = words.common.problems;
    const sentence = { 401: oldCode, 429: manyCodes, 503: full }[status] ?? serverRefused(status, text.trim());
    return new Problem(sentence, { status });
  }

  /** @param {unknown} reason whatever was thrown */
  static of(reason) {
    return reason instanceof Problem ? reason : new Problem(words.common.problems.unexpected(String(reason)));
  }

  /** The device has to join first. */
  get outside() { return this.status === 401; }

  /** Whether the same may go well a little later. */
  get passes() { return this.status === 0 || this.status === 429 || this.status >= 500; }
}
