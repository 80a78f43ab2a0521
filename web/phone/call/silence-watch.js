// @ts-check
/**
 * Asks the server when its reports stop: one that was killed says no goodbye, and WebRTC notices it after ten seconds.
 *
 * A server that is only late, or a network that is slow, is left to WebRTC.
 */

/** Between reports; a camera has several frames in that time. */
const SILENT_MS = 1000;
const LOOK_MS = 300;
const ANSWER_MS = 2000;

export class SilenceWatch {
  /**
   * @param {string} location the call's URL, which answers while the server knows it
   * @param {(answered: boolean) => void} lost the call is over; the server answered that it does not know it, or not at all
   */
  constructor(location, lost) {
    this.location = location;
    this.lost = lost;
    this.asking = false;
    this.last = performance.now();
    this.timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  /** A report has arrived. */
  heard() {
    this.last = performance.now();
  }

  close() {
    clearInterval(this.timer);
  }

  async #look() {
    if (this.asking || performance.now() - this.last < SILENT_MS) return;
    this.asking = true;
    const status = await fetch(this.location, { cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS) })
      .then((response) => response.status, (error) => (error.name === 'TimeoutError' ? null : 0));
    this.asking = false;
    this.last = performance.now();
    // A proxy answers 502 to 504 in place of a server that is gone.
    if (status === 0 || (status ?? 0) >= 500) this.lost(false);
    else if (status === 404 || status === 401) this.lost(true);
  }
}
