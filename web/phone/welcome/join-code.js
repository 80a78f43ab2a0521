// @ts-check
/** On the computer's own page: how a phone comes in. */

import { find } from '../../shared/dom.js';
import { words, write } from '../../shared/i18n.js';
import { invitation } from '../../shared/join.js';

/** Shows the code, or why there is none. */
export async function showJoinCode() {
  const { urls, lan } = await invitation();
  const code = find('code', HTMLImageElement);
  code.hidden = find('phones-how', HTMLElement).hidden = find('phones-help', HTMLElement).hidden = !urls.length;
  if (urls.length) {
    code.src = '/api/join.svg';
    // The token belongs to the picture; without it an address can be shown, and read aloud.
    find('phones-urls', HTMLElement).textContent = urls.map((url) => url.split('#')[0]).join(' · ');
    write(find('phones-more', HTMLElement), words.phone.phonesUnreachable(new URL(urls[0]).port));
  } else {
    write(find('phones-urls', HTMLElement), lan ? words.phone.noNetwork : words.phone.noLan);
  }
  find('phones', HTMLElement).hidden = false;
}
