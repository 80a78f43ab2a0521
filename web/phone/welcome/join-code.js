// @ts-check
/** The code with which a phone joins, on the host's page. */

import { find } from '../../shared/dom.js';
import { words, write } from '../../shared/i18n.js';
import { invitation } from '../../shared/join.js';
import { showWarningSteps } from '../../shared/warning-steps.js';

/** Shows the code, or why phones cannot join. */
export async function showJoinCode() {
  const { urls, lan, warns } = await invitation();
  const code = find('code', HTMLImageElement);
  code.hidden = find('phones-how', HTMLElement).hidden = find('phones-help', HTMLElement).hidden = !urls.length;
  if (urls.length) {
    code.src = '/api/join.svg';
    // The token is only in the QR code, so that the address can be shown and read aloud.
    find('phones-urls', HTMLElement).textContent = urls.map((url) => url.split('#')[0]).join(' · ');
    write(find('phones-more', HTMLElement), words.phone.phonesUnreachable(new URL(urls[0]).port));
  } else {
    write(find('phones-urls', HTMLElement), lan ? words.phone.noNetwork : words.phone.noLan);
  }
  showWarningSteps(find('warning', HTMLElement), warns && urls.length > 0);
  find('phones', HTMLElement).hidden = false;
}
