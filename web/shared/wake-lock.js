// @ts-check
/** Keeps the screen awake during a call; the browser releases the lock whenever the page is hidden. */

export class ScreenWakeLock {
  constructor() {
    this.wanted = false;
    /** @type {WakeLockSentinel | null} */
    this.lock = null;
    document.addEventListener('visibilitychange', () => void this.#ask());
  }

  /** @param {boolean} wanted */
  keep(wanted) {
    this.wanted = wanted;
    void this.#ask();
  }

  async #ask() {
    if (!this.wanted) {
      const { lock } = this;
      this.lock = null;
      return lock?.release();
    }
    if (document.hidden || (this.lock && !this.lock.released) || !('wakeLock' in navigator)) return undefined;
    try {
      const lock = await navigator.wakeLock.request('screen');
      if (!this.wanted || this.lock?.released === false) return lock.release();
      this.lock = lock;
    } catch (error) {
      console.info('wake lock:', error); // refused on a low battery, for instance; the call continues
    }
    return undefined;
  }
}
