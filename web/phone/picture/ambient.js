// @ts-check
/** The glow around the picture, a few enlarged pixels that follow it slowly, and the last picture of a broken call. */

const BETWEEN_MS = 250;
/** The newest picture's share in each step; a smaller share follows more slowly. */
const SHARE = 0.3;

export class Ambient {
  /**
   * @param {HTMLVideoElement} video
   * @param {HTMLCanvasElement} around covers the page with few pixels
   * @param {HTMLCanvasElement} last
   */
  constructor(video, around, last) {
    this.video = video;
    this.around = around;
    this.last = last;
    this.shown = 0;
    /** @type {number | undefined} */
    this.timer = undefined;
  }

  /** @param {boolean} running */
  run(running) {
    clearInterval(this.timer);
    if (running) this.timer = setInterval(() => this.#draw(), BETWEEN_MS);
  }

  #draw() {
    const { video, around, last } = this;
    const { videoWidth: width, videoHeight: height, currentTime } = video;
    // A stream that has ended shows black with an unchanged time, so the former picture is kept.
    if (document.hidden || !width || currentTime === this.shown) return;
    this.shown = currentTime;
    if (last.width !== width || last.height !== height) Object.assign(last, { width, height });
    last.getContext('2d')?.drawImage(video, 0, 0);
    const context = around.getContext('2d');
    if (!context) return;
    context.globalAlpha = SHARE;
    context.drawImage(last, 0, 0, around.width, around.height);
  }
}
