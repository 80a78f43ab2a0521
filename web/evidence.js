// @ts-check
/** What the model said without the evidence, as long as it speaks of what is on the screen. */

/** @typedef {import('./protocol.js').Hidden} Hidden */
/** @typedef {import('./protocol.js').Report} Report */

/** The model is asked about once a second. */
const OLDEST_MS = 1500;

/**
 * @param {Report} report
 * @returns {Hidden | null} null where the answer is of another class than the drawn one, or of a picture long gone
 */
export function evidenceOf({ hidden, view, classes, frozen }) {
  if (!hidden || hidden.class !== (view.hold[0] ?? classes[0])) return null;
  return frozen || hidden.age_ms <= OLDEST_MS ? hidden : null;
}
