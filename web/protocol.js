// @ts-check
/**
 * The shapes of what the server and the page say to each other over the data channels (docs/api.md).
 *
 * @typedef {{class: number, label: string, score: number}} Held
 * @typedef {{hold: number[], opacity: number, colormap: string, scale: 'own' | 'steady'}} View
 * @typedef {{state: 'on' | 'off' | 'stopped', folder: string, reason: string}} Recording
 *
 * @typedef {{class: number, label: string, before: number, after: number, age_ms: number}} Hidden
 *
 * @typedef {object} Report one a frame, server to page
 * @property {string} session
 * @property {number} pts 1/90000 s
 * @property {number | null} rtp_in
 * @property {number | null} rtp_out
 * @property {string} model
 * @property {number[]} classes best first
 * @property {string[]} labels
 * @property {number[]} scores probabilities
 * @property {Held[]} held
 * @property {number | null} age_ms null before the first explanation
 * @property {'exact' | 'carried' | 'none' | 'stalled'} state
 * @property {boolean} frozen
 * @property {Hidden | null} hidden the evidence that is covered, and the class's probability before and after
 * @property {'running' | 'restarting'} engine
 * @property {{received: number, lost: number, decoded: number, explained: number, passed: number, dropped: number}} counts
 * @property {{inference_ms: number, frame_ms: number}} times
 * @property {View} view
 * @property {Recording} recording
 *
 * @typedef {Partial<View & {record: boolean, freeze: boolean, hide: boolean}>} Command page to server; absent keys stay as they are
 */

export const COLORMAPS = ['inferno', 'viridis', 'magma', 'cividis', 'turbo', 'jet'];

/** How many classes may be held at once. */
export const MOST_HELD = 5;
