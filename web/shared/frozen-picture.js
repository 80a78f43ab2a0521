// @ts-check
/**
 * The frozen frame as the camera sent it: the very one that the explained picture shows. The camera's own stream goes on
 * and is never at that frame when the page knows of it.
 */

/** @typedef {import('./protocol.js').Report} Report */

/** After a failure the picture is requested again after this time. */
const AGAIN_MS = 1000;

export class FrozenPicture {
  /** @param {HTMLImageElement} image hidden until the frame is in it @param {() => void} changed it is shown or hidden */
  constructor(image, changed) {
    this.image = image;
    this.changed = changed;
    this.image.hidden = true;
    this.url = '';
    this.image.addEventListener('load', () => this.#show(Boolean(this.url)));
    this.image.addEventListener('error', () => {
      const { url } = this;
      setTimeout(() => { if (url && url === this.url) this.image.src = url; }, AGAIN_MS);
    });
  }

  get shown() { return !this.image.hidden; }

  /** @param {Report | null} report null: no frozen frame is wanted */
  show(report) {
    const pts = report?.frozen_pts ?? null;
    const url = report && pts !== null ? `/api/sessions/${encodeURIComponent(report.session)}/frozen/${pts}.jpg` : '';
    if (url === this.url) return;
    this.url = url;
    this.#show(false);
    if (url) this.image.src = url;
    else this.image.removeAttribute('src');
  }

  /** @param {boolean} shown */
  #show(shown) {
    if (shown === this.shown) return;
    this.image.hidden = !shown;
    this.changed();
  }
}
