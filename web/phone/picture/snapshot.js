// @ts-check
/** The picture on screen as a JPEG file: saved, or shared with another app. */

import { words } from '../../shared/i18n.js';
import { UserError } from '../../shared/user-error.js';

const QUALITY = 0.92;

export class Snapshot {
  /** @param {() => HTMLVideoElement | HTMLImageElement} seen what is on screen @param {() => string} label the best class */
  constructor(seen, label) {
    this.seen = seen;
    this.label = label;
  }

  /** Whether this browser can share images. */
  static get canShare() {
    const probe = new File([''], 'picture.jpg', { type: 'image/jpeg' });
    return navigator.canShare?.({ files: [probe] }) ?? false;
  }

  /**
   * On an iPhone a download goes to a folder for files; the sheet for sharing has “Save Image”, which puts it among the
   * photographs. Elsewhere a sheet would be in the way.
   */
  static get sharesToSave() {
    const apple = /iPhone|iPad|iPod/.test(navigator.userAgent) || (/Macintosh/.test(navigator.userAgent) && navigator.maxTouchPoints > 1);
    return apple && Snapshot.canShare;
  }

  /** @returns {Promise<string>} the file's name; empty if the person saw to it in the sheet */
  async save() {
    if (Snapshot.sharesToSave) {
      await this.share();
      return '';
    }
    const file = await this.#take();
    const link = document.createElement('a');
    link.href = URL.createObjectURL(file);
    link.download = file.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    return file.name;
  }

  async share() {
    const file = await this.#take();
    await navigator.share({ files: [file], title: this.label() })
      .catch((error) => { if (error.name !== 'AbortError') throw error; }); // cancelled by the person
  }

  /** @returns {Promise<File>} */
  async #take() {
    const seen = this.seen();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = seen instanceof HTMLVideoElement ? [seen.videoWidth, seen.videoHeight] : [seen.naturalWidth, seen.naturalHeight];
    canvas.getContext('2d')?.drawImage(seen, 0, 0);
    /** @type {Blob | null} */
    const blob = await new Promise((resolve) => { canvas.toBlob(resolve, 'image/jpeg', QUALITY); });
    if (!blob) throw new UserError(words.phone.problems.noPictureYet);
    return new File([blob], `whycam ${[this.label(), moment()].filter(Boolean).join(' ')}.jpg`, { type: blob.type });
  }
}

/** The local date and time, for a file name. */
function moment() {
  const now = new Date();
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19).replace('T', ' ').replaceAll(':', '-');
}
