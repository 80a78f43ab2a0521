// @ts-check
/** What the two colours of a difference mean, as a sentence with a dot of each colour. */

import { made } from '../dom.js';
import { words } from '../i18n.js';

/** @typedef {import('../protocol.js').Report} Report */

/** The sentence, '' if no difference is drawn. @param {Report} report */
export function legendOf({ difference, drawn }) {
  return difference ? parts(drawn[0].label, drawn[1].label).map(({ colour, text }) => `${colour}: ${text}`).join('; ') : '';
}

/**
 * Writes the sentence, or nothing. A frame without an explanation keeps what the one before had.
 *
 * @param {HTMLElement} element
 * @param {Report} report
 */
export function showLegend(element, report) {
  if (!report.classes.length && report.view.difference) return;
  const sentence = legendOf(report);
  if (element.dataset.sentence === sentence) return;
  element.dataset.sentence = sentence;
  const [first, second] = report.drawn;
  element.replaceChildren(...(sentence ? parts(first.label, second.label) : []).map(({ place, colour, text }, i) => {
    const part = made('span', 'part');
    part.append(made('i', `dot ${place}`), made('b', '', colour), `: ${text}`, ...(i ? [] : [made('span', 'hidden', '; ')]));
    return part;
  }));
}

/** @param {string} first @param {string} second */
function parts(first, second) {
  const { colours, speaksFor, otherWay } = words.common.difference;
  return [
    { place: 'first', colour: colours[0], text: speaksFor(first, second) },
    { place: 'second', colour: colours[1], text: otherWay },
  ];
}
