// @ts-check
/** How phones join, on the host's page: the code, and the door that lets them in, which the host opens and closes. */

import { find } from '../../shared/dom.js';
import { words, write } from '../../shared/i18n.js';
import { invitation, letJoin } from '../../shared/join.js';
import { UserError } from '../../shared/user-error.js';
import { showWarningSteps } from '../../shared/warning-steps.js';

/** @typedef {import('../../shared/join.js').Invitation} Invitation */

export class JoinCode {
  /** @param {(sentence: string) => void} complain */
  constructor(complain) {
    this.complain = complain;
    this.section = find('phones', HTMLElement);
    this.code = find('code', HTMLImageElement);
    this.open = find('let-join', HTMLButtonElement);
    this.close = find('let-none', HTMLButtonElement);
    this.open.addEventListener('click', () => void this.#change(true));
    this.close.addEventListener('click', () => void this.#change(false));
  }

  /** Shows the code, or that phones cannot join yet. */
  async load() {
    this.#show(await invitation());
    this.section.hidden = false;
  }

  /** @param {boolean} lan */
  async #change(lan) {
    this.complain('');
    this.open.disabled = this.close.disabled = true;
    try {
      this.#show(await letJoin(lan));
    } catch (reason) {
      this.complain(UserError.of(reason).message);
    }
    this.open.disabled = this.close.disabled = false;
    (this.open.hidden ? this.close : this.open).focus({ preventScroll: true }); // the pressed button may be hidden now
  }

  /** @param {Invitation} invitation */
  #show({ urls, lan, warns }) {
    const { code } = this;
    code.hidden = find('phones-how', HTMLElement).hidden = find('phones-help', HTMLElement).hidden = !urls.length;
    this.open.hidden = lan;
    this.close.hidden = !lan;
    this.section.dataset.lan = String(lan);
    if (urls.length) {
      code.src = `/api/join.svg?${Date.now()}`; // another network may have another address
      // The token is only in the QR code, so that the address can be shown and read aloud.
      find('phones-urls', HTMLElement).textContent = urls.map((url) => url.split('#')[0]).join(' · ');
      write(find('phones-more', HTMLElement), words.phone.phonesUnreachable(new URL(urls[0]).port));
    } else {
      write(find('phones-urls', HTMLElement), lan ? words.phone.noNetwork : words.phone.noLan);
    }
    showWarningSteps(find('warning', HTMLElement), warns && urls.length > 0);
  }
}
