// @ts-check
/**
 * Types of the messages between server and page on the data channels (docs/api.md). On the wire, `hold` pins classes and
 * `held` lists the pinned ones.
 *
 * @typedef {{class: number, label: string, score: number}} Pinned
 * @typedef {{hold: number[], opacity: number, colormap: string, scale: 'own' | 'steady', hide: boolean, difference?: boolean}} View
 * @typedef {{method: string, layer: string, grid: [number, number]}} DrawnMap `grid`: rows and columns
 * @typedef {{id: string, state: 'on' | 'off' | 'stopped', folder: string, reason: string, code: string | null}} Recording
 * @typedef {{class: number, label: string, before: number, after: number, age_ms: number}} Hidden
 * @typedef {{received: number, lost: number, decoded: number, explained: number, passed: number, dropped: number}} Counts
 * @typedef {{class: number, examples: number}} Teaching `examples`: how many the class has now
 * @typedef {{code: string, reason: string}} Ended the server's last message in a call, as `{"ended": …}`
 *
 * @typedef {object} Report one a frame, server to page
 * @property {string} session
 * @property {number} pts 1/90000 s
 * @property {number | null} rtp_in
 * @property {number | null} rtp_out
 * @property {string} model that explained the frame; all class numbers are its own, or those of a class set
 * @property {string} class_set the id of the taught classes that replace the model's own ones, '' for its own
 * @property {Teaching | null} teaching the class that this session gives examples to
 * @property {DrawnMap} map of this model, which is drawn
 * @property {number[]} classes best first
 * @property {string[]} labels
 * @property {number[]} scores probabilities
 * @property {Pinned[]} held in the order of pinning
 * @property {{class: number, label: string, heat: number}[]} drawn the classes whose heat is drawn, and how hot the hottest place is
 * @property {boolean} difference the two drawn maps are the difference of their classes
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
 * @typedef {Partial<View & {record: boolean, freeze: boolean, model: string, teach: number | null}>} Command page to server; absent keys stay as
 *   they are. `model` is the one whose class numbers `hold` has; `teach` begins to give a class examples, null ends it.
 */

/** How many classes the page pins at once: two colours can be told apart on a picture. */
export const MAX_PINNED = 2;

/**
 * Whose class numbers a report has. Numbers of taught classes stay the same when more is taught, and the model's own ones
 * are others, so all sets of taught classes are the same here.
 *
 * @param {Report} report
 */
export function numberingOf({ model, class_set: classSet }) {
  return `${classSet ? 'taught' : 'own'} ${model}`;
}

/**
 * Pins a class, or releases it if it is pinned; one too many replaces the last.
 *
 * @param {number[]} pinned
 * @param {number} number
 */
export function toggled(pinned, number) {
  return pinned.includes(number) ? pinned.filter((one) => one !== number) : [...pinned.slice(0, MAX_PINNED - 1), number];
}
