// @ts-check
/** The small signs on the picture: how good it is, and where it is recorded. */

import { words } from './words.js';

/** @typedef {import('./protocol.js').Report} Report */
/** @typedef {import('./protocol.js').Recording} Recording */

/** A heatmap older than this is seen to lag behind a hand that moves. */
const LATE_MS = 200;

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * @param {Report | null} report
 * @param {number} fps
 * @param {{ms: number, measured: boolean} | null} latency
 */
export function showQuality(report, fps, latency) {
  const state = report?.state ?? 'none';
  const late = state === 'carried' && (report?.age_ms ?? 0) > LATE_MS;
  element('chip').dataset.quality = state === 'none' || state === 'stalled' ? state : late ? 'late' : 'good';
  element('fps').textContent = words.phone.fps(Math.round(fps));
  element('latency').textContent = latency ? words.phone.latency(Math.round(latency.ms), latency.measured) : '';
  element('dropped').textContent = words.phone.dropped(report?.counts.dropped ?? 0);
  element('quality').textContent = {
    exact: words.phone.exact,
    carried: words.phone.carried(Math.round(report?.age_ms ?? 0)),
    none: words.phone.noHeatmap,
    stalled: words.phone.stalled,
  }[state];
}

/** @param {Recording | undefined} recording */
export function showRecording(recording) {
  const sign = element('recording');
  const state = recording?.state ?? 'off';
  const text = {
    on: words.phone.recordingTo(recording?.folder ?? ''),
    stopped: words.phone.recordingStopped(recording?.reason ?? ''),
    off: '',
  }[state];
  // It is a live region: write only what is new.
  if (element('recording-words').textContent !== text) element('recording-words').textContent = text;
  sign.dataset.recording = state;
  sign.hidden = state === 'off';
}
