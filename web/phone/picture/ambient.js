// @ts-check
/** What of the picture is around it, a dozen enlarged pixels that follow slowly, and what stays of it when it is gone. */

const BETWEEN_MS = 250;
/** Of the newest picture in each step; less is slower. */
const SHARE = 0.3;

export class Ambient {
  /**
   * @param {HTMLVideoElement} video
   * @param {HTMLCanvasElement} around as large as the page, of few pixels
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
    // A stream that has ended shows black at the same time: what was seen before is kept.
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
