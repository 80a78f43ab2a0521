// @ts-check
/** The picture's own light around it: a dozen pixels of it, enlarged, that follow slowly. */

const BETWEEN_MS = 250;
/** Of the newest picture in each step; less is slower. */
const SHARE = 0.3;

export class Ambient {
  /** @param {HTMLCanvasElement} canvas @param {HTMLVideoElement} video */
  constructor(canvas, video) {
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.video = video;
    /** @type {number | undefined} */
    this.timer = undefined;
  }

  /** @param {boolean} running */
  run(running) {
    clearInterval(this.timer);
    if (running) this.timer = setInterval(() => this.#draw(), BETWEEN_MS);
  }

  #draw() {
    if (document.hidden || !this.video.videoWidth) return;
    const { canvas } = this.context;
    this.context.globalAlpha = SHARE;
    this.context.drawImage(this.video, 0, 0, canvas.width, canvas.height);
  }
}
