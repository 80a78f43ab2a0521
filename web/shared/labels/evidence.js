// @ts-check
/** The probability without the evidence, and its age if it is not current. */

/** @typedef {import('../protocol.js').Hidden} Hidden */
/** @typedef {import('../protocol.js').Report} Report */
/**
 * `ago`: whole seconds, 0 if it belongs to the picture on screen; `drawn`: its class is the one drawn now.
 *
 * @typedef {Hidden & {ago: number, drawn: boolean}} Evidence
 */

/** The model runs without the evidence about once a second; a slow one takes longer. */
const NOW_MS = 1500;

/** @param {Report} report @returns {Evidence | null} the newest answer, null before the first */
export function evidenceOf({ hidden, view, classes, frozen }) {
  return hidden && {
    ...hidden,
    ago: frozen || hidden.age_ms <= NOW_MS ? 0 : Math.round(hidden.age_ms / 1000),
    drawn: hidden.class === (view.hold[0] ?? classes[0]),
  };
}
