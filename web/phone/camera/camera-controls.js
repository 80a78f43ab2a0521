// @ts-check
/** Camera controls (switch, torch, zoom), each shown only if the camera supports it. */

import { find } from '../../shared/dom.js';
import { language, words } from '../../shared/i18n.js';
import { Camera } from './camera.js';

/** @typedef {import('./camera.js').Source} Source */

const factors = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });

export class CameraControls {
  /**
   * @param {() => Promise<void>} changed called when the source has another track
   * @param {(sentence: string) => void} complain
   */
  constructor(changed, complain) {
    this.changed = changed;
    this.complain = complain;
    this.flip = find('flip', HTMLButtonElement);
    this.torch = find('torch', HTMLButtonElement);
    this.zoom = find('zoom', HTMLElement);
    this.zoomBy = find('zoom-by', HTMLInputElement);
    this.picker = find('camera-id', HTMLSelectElement);
    /** @type {Camera | null} */
    this.camera = null;
    this.busy = false;

    this.flip.addEventListener('click', () => void this.#switch((camera) => camera.turn()));
    this.picker.addEventListener('change', () => void this.#switch((camera) => camera.choose(this.picker.value)));
    this.torch.addEventListener('click', () => void this.#light(this.torch.getAttribute('aria-pressed') !== 'true'));
    this.zoomBy.addEventListener('input', () => {
      this.#showZoom();
      void this.camera?.zoom(Number(this.zoomBy.value)).catch((error) => console.info('zoom:', error.message));
    });
    navigator.mediaDevices?.addEventListener('devicechange', () => void this.#show());
  }

  /** @param {Source | null} source */
  watch(source) {
    this.camera = source instanceof Camera ? source : null;
    void this.#show();
  }

  /** @param {(camera: Camera) => Promise<void>} change */
  async #switch(change) {
    if (!this.camera || this.busy) return;
    this.busy = true;
    this.flip.disabled = this.picker.disabled = true;
    try {
      await change(this.camera);
    } catch (error) {
      console.warn(error);
      this.complain(words.phone.problems.noOtherCamera);
    }
    this.busy = false;
    this.flip.disabled = this.picker.disabled = false;
    await this.changed();
    await this.#show();
  }

  /** @param {boolean} on */
  async #light(on) {
    try {
      await this.camera?.light(on);
      this.torch.setAttribute('aria-pressed', String(on));
    } catch (error) {
      console.info('torch:', error);
    }
  }

  async #show() {
    const { camera } = this;
    const all = camera ? await camera.all() : [];
    if (camera !== this.camera) return;
    this.flip.hidden = find('cameras', HTMLElement).hidden = all.length < 2;
    this.picker.replaceChildren(...all.map(({ id, name }) => new Option(name, id)));
    this.picker.value = camera?.id ?? '';
    const { torch, zoom } = camera?.optics ?? {};
    this.torch.hidden = !torch;
    this.torch.setAttribute('aria-pressed', 'false'); // a newly opened camera has its torch off
    this.zoom.hidden = !zoom || zoom.max <= zoom.min;
    if (zoom) {
      Object.assign(this.zoomBy, { min: zoom.min, max: zoom.max, step: zoom.step || 0.1 });
      const settings = /** @type {{zoom?: number} | undefined} */ (camera?.track.getSettings());
      this.zoomBy.value = String(settings?.zoom ?? zoom.min);
      this.#showZoom();
    }
  }

  #showZoom() {
    find('zoom-is', HTMLElement).textContent = words.phone.zoomBy(factors.format(Number(this.zoomBy.value)));
  }
}
