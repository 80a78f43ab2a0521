// @ts-check
/**
 * Types of the messages between server and page on the data channels (docs/api.md). On the wire, `hold` pins classes and
 * `held` lists the pinned ones.
 *
 * @typedef {{class: number, label: string, score: number}} Pinned
 * @typedef {{hold: number[], opacity: number, colormap: string, scale: 'own' | 'steady', hide: boolean}} View
 * @typedef {{id: string, state: 'on' | 'off' | 'stopped', folder: string, reason: string, code: string | null}} Recording
 * @typedef {{class: number, label: string, before: number, after: number, age_ms: number}} Hidden
 * @typedef {{received: number, lost: number, decoded: number, explained: number, passed: number, dropped: number}} Counts
 * @typedef {{code: string, reason: string}} Ended the server's last message in a call, as `{"ended": …}`
 *
 * @typedef {object} Report one a frame, server to page
 * @property {string} session
 * @property {number} pts 1/90000 s
 * @property {number | null} rtp_in
 * @property {number | null} rtp_out
 * @property {string} model that explained the frame; all class numbers are its own
 * @property {number[]} classes best first
 * @property {string[]} labels
 * @property {number[]} scores probabilities
 * @property {Pinned[]} held in the order of pinning
 * @property {{class: number, label: string, heat: number}[]} drawn the classes whose heat is drawn, and how hot the hottest place is
 * @property {number} sure the best class is a guess below this probability
 * @property {number | null} age_ms null before the first explanation
 * @property {'exact' | 'carried' | 'none' | 'stalled'} state
 * @property {'running' | 'restarting'} engine
 * @property {boolean} frozen
 * @property {number | null} frozen_pts of the frozen frame
 * @property {Hidden | null} hidden the class whose evidence is covered, its probability before and after
 * @property {Counts} counts
 * @property {{inference_ms: number, frame_ms: number}} times
 * @property {View} view
 * @property {Recording} recording
 *
 * @typedef {Partial<View & {record: boolean, freeze: boolean, model: string}>} Command page to server; absent keys stay as
 *   they are. `model` is the one whose class numbers `hold` has.
 */

/** How many classes the page pins at once: two colours can be told apart on a picture. */
export const MAX_PINNED = 2;

/**
 * Pins a class, or releases it if it is pinned; one too many replaces the last.
 *
 * @param {number[]} pinned
 * @param {number} number
 */
export function toggled(pinned, number) {
  return pinned.includes(number) ? pinned.filter((one) => one !== number) : [...pinned.slice(0, MAX_PINNED - 1), number];
}
