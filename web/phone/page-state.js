// @ts-check
/**
 * The states of the page and the allowed transitions.
 *
 *   joining -> idle -> asking -> calling -> live <-> frozen -> lost | ended
 *           -> outside             live, frozen -> reconnecting -> live
 *
 * A device that has not joined stays `outside` until it has a new code. A file needs no permission, so it skips
 * `asking`. An attempt that fails or is cancelled before it is live returns to `idle`. A broken call reconnects while
 * the server may come back; from `lost` and `ended` the person starts again.
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
