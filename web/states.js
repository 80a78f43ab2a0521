// @ts-check
/**
 * What the page is doing, and what may follow.
 *
 *   idle -> asking -> calling -> live -> lost | ended
 *
 * A file needs no permission, so it skips `asking`. A try that fails or is cancelled before it was live returns to
 * `idle`; from `lost` and `ended` one starts again.
 *
 * @typedef {'idle' | 'asking' | 'calling' | 'live' | 'lost' | 'ended'} State
 */

/** @type {Record<State, State[]>} */
const FOLLOWS = {
  idle: ['asking', 'calling'],
  asking: ['calling', 'idle'],
  calling: ['live', 'ended', 'idle'],
  live: ['lost', 'ended'],
  lost: ['asking', 'calling'],
  ended: ['asking', 'calling'],
};

export class States {
  /** @param {(state: State) => void} entered */
  constructor(entered) {
    /** @type {State} */
    this.now = 'idle';
    this.entered = entered;
  }

  /** @param {State} state */
  go(state) {
    if (!FOLLOWS[this.now].includes(state)) throw new Error(`${this.now} is not followed by ${state}`);
    this.now = state;
    this.entered(state);
  }
}
