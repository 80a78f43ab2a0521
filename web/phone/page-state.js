// @ts-check
/**
 * What the page is doing, and what may follow.
 *
 *   joining -> idle -> asking -> calling -> live <-> frozen -> lost | ended
 *           -> outside             live, frozen -> reconnecting -> live
 *
 * A device that has not joined stays `outside`, until it comes with a new code. A file needs no permission, so it skips
 * `asking`. A try that fails or is cancelled before it was live returns to `idle`. A call that breaks off is made again
 * while the server may come back; from `lost` and `ended` the person starts again.
 *
 * @typedef {'joining' | 'outside' | 'idle' | 'asking' | 'calling' | 'live' | 'frozen' | 'reconnecting' | 'lost'
 *   | 'ended'} State
 */

/** @type {Record<State, State[]>} */
const FOLLOWS = {
  joining: ['idle', 'outside'],
  outside: ['joining'],
  idle: ['asking', 'calling', 'joining'],
  asking: ['calling', 'idle'],
  calling: ['live', 'ended', 'idle', 'outside'],
  live: ['frozen', 'reconnecting', 'ended'],
  frozen: ['live', 'reconnecting', 'ended'],
  reconnecting: ['live', 'lost', 'ended', 'outside'],
  lost: ['asking', 'calling', 'joining'],
  ended: ['asking', 'calling', 'joining'],
};

export class PageState {
  /** @param {(state: State) => void} entered */
  constructor(entered) {
    /** @type {State} */
    this.now = 'joining';
    this.entered = entered;
  }

  /** @param {State} state */
  go(state) {
    if (!FOLLOWS[this.now].includes(state)) throw new Error(`${this.now} is not followed by ${state}`);
    this.now = state;
    this.entered(state);
  }
}
