// @ts-check
/** What the model said without the evidence, and how long ago where that is no longer now. */

/** @typedef {import('./protocol.js').Hidden} Hidden */
/** @typedef {import('./protocol.js').Report} Report */
/**
 * `ago`: whole seconds, 0 where it speaks of the picture on the screen; `drawn`: it is of the class that is drawn now.
 *
 * @typedef {Hidden & {ago: number, drawn: boolean}} Evidence
 */

/** The model is asked about once a second; a slow one answers later than that. */
const NOW_MS = 1500;

/** @param {Report} report @returns {Evidence | null} the newest answer, null before the first */
export function evidenceOf({ hidden, view, classes, frozen }) {
  return hidden && {
    ...hidden,
    ago: frozen || hidden.age_ms <= NOW_MS ? 0 : Math.round(hidden.age_ms / 1000),
    drawn: hidden.class === (view.hold[0] ?? classes[0]),
  };
}
