// @ts-check
/** What the model said without the evidence, and how long ago where that is no longer now. */

/** @typedef {import('./protocol.js').Hidden} Hidden */
/** @typedef {import('./protocol.js').Report} Report */
/** @typedef {Hidden & {ago: number}} Evidence `ago`: whole seconds, 0 where it speaks of the picture on the screen */

/** The model is asked about once a second; a slow one answers later than that. */
const NOW_MS = 1500;

/**
 * @param {Report} report
 * @returns {Evidence | null} null where the answer is of another class than the drawn one
 */
export function evidenceOf({ hidden, view, classes, frozen }) {
  if (!hidden || hidden.class !== (view.hold[0] ?? classes[0])) return null;
  return { ...hidden, ago: frozen || hidden.age_ms <= NOW_MS ? 0 : Math.round(hidden.age_ms / 1000) };
}
