// @ts-check
/** What a picture says of a drawn class beyond its name: that the model guesses, or that nothing speaks for it. */

import { words } from '../i18n.js';

/** @typedef {import('../protocol.js').Report} Report */
/** `guess`: the best class is improbable; `nothing`: no place speaks for the class. @typedef {'' | 'guess' | 'nothing'} Verdict */

/** Heat below this cannot be seen. */
const VISIBLE = 0.04;

/** @param {Report} report @param {number} classNumber one that is drawn @returns {Verdict} */
export function verdictOf({ drawn, view, scores, sure, difference, map }, classNumber) {
  const heat = drawn.find((one) => one.class === classNumber)?.heat ?? 1;
  const speaksFor = !difference && map.method !== 'negative';
  if (heat < VISIBLE && speaksFor) return 'nothing';
  return !view.hold.length && (scores[0] ?? 1) < sure ? 'guess' : '';
}

/** The words before the class's name, '' for none. @param {Verdict} verdict */
export function leadOf(verdict) {
  return verdict ? words.common.verdicts[verdict] : '';
}

/** One sentence about all drawn classes that have a verdict, '' for none. @param {Report} report */
export function sentenceOf(report) {
  /** @type {Map<Verdict, string[]>} */
  const found = new Map();
  for (const { class: number, label } of report.drawn) {
    const verdict = verdictOf(report, number);
    if (verdict) found.set(verdict, [...(found.get(verdict) ?? []), label]);
  }
  return [...found].map(([verdict, labels]) => `${leadOf(verdict)} ${labels.join(', ')}.`).join(' ');
}
