// @ts-check
/** Keeps the screen on while there is something to see. */

export class Awake {
  constructor() {
    this.wanted = false;
    /** @type {WakeLockSentinel | null} */
    this.lock = null;
    // A browser lets go of the lock when the page is hidden.
    document.addEventListener('visibilitychange', () => { void this.#ask(); });
  }

  /** @param {boolean} wanted */
  want(wanted) {
    if (this.wanted === wanted) return;
    this.wanted = wanted;
    if (wanted) void this.#ask();
    else void this.lock?.release();
  }

  async #ask() {
    if (!this.wanted || document.hidden || !('wakeLock' in navigator) || (this.lock && !this.lock.released)) return;
    // It may be refused where the battery is low: the picture goes on all the same.
    this.lock = await navigator.wakeLock.request('screen').catch((error) => {
      console.info('wake lock:', error.message);
      return null;
    });
    if (!this.wanted) void this.lock?.release();
  }
}
