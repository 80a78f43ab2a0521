// @ts-check
/** The camera's picture in the place of the explained one: a tap changes between them, a held finger compares. */

/** A finger that rests this long wants to compare. */
const HOLD_MS = 220;

export class Peek {
  /**
   * @param {HTMLButtonElement} button as large as the picture
   * @param {HTMLVideoElement} camera lies over the explained picture
   * @param {(camera: boolean) => void} changed
   */
  constructor(button, camera, changed) {
    this.button = button;
    this.camera = camera;
    this.changed = changed;
    this.holding = false;
    /** @type {number | undefined} */
    let timer;
    button.addEventListener('pointerdown', () => {
      timer = setTimeout(() => {
        this.holding = true;
        this.#show(true);
      }, HOLD_MS);
    });
    for (const event of ['pointerup', 'pointercancel', 'pointerleave']) {
      button.addEventListener(event, () => {
        clearTimeout(timer);
        if (!this.holding) return;
        this.#show(false);
        // the click that follows belongs to the hold
        setTimeout(() => { this.holding = false; });
      });
    }
    button.addEventListener('click', () => { if (!this.holding) this.#show(!this.on); });
    button.addEventListener('contextmenu', (event) => event.preventDefault());
  }

  get on() { return this.button.getAttribute('aria-pressed') === 'true'; }

  /** @param {MediaStreamTrack | null} track what the camera sees, without the way to the server */
  watch(track) {
    this.camera.srcObject = track && new MediaStream([track]);
    if (track) void this.camera.play().catch(() => {}); // a page that goes away plays no more
    this.#show(false);
  }

  /** A frozen picture is compared with the camera's of that moment. @param {boolean} frozen */
  freeze(frozen) {
    if (frozen) this.camera.pause();
    else if (this.camera.srcObject) void this.camera.play().catch(() => {});
  }

  /** @param {boolean} on */
  #show(on) {
    this.button.setAttribute('aria-pressed', String(on));
    this.changed(on);
  }
}
