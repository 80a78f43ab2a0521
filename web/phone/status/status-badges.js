// @ts-check
/** The badges on the picture: recording, hidden evidence, frozen, and a guess or an empty heatmap. */

import { find, made as part } from '../../shared/dom.js';
import { coded, percent, words } from '../../shared/i18n.js';

/** @typedef {import('../../shared/labels/evidence.js').Evidence} Evidence */
/** @typedef {import('../../shared/protocol.js').Recording} Recording */

export class StatusBadges {
  constructor() {
    this.sign = find('recording', HTMLElement);
    this.is = find('recording-is', HTMLElement);
    this.time = find('recording-time', HTMLElement);
    this.kept = find('kept', HTMLElement);
    this.hidden = find('hidden', HTMLElement);
    this.seen = find('seen', HTMLElement);
    this.judged = find('verdict', HTMLElement);
    /** The folder that is recorded to, and since when. */
    this.folder = '';
    this.since = 0;
  }

  clear() {
    this.folder = '';
    this.recording(undefined);
    this.evidence(false, null);
    this.verdict('');
    this.say('');
  }

  /** Hides what may be out of date: the server has sent nothing for a while. */
  markStale() {
    this.sign.hidden = this.hidden.hidden = this.judged.hidden = true;
  }

  /** @param {Recording | undefined} recording */
  recording(recording) {
    const state = recording?.state ?? 'off';
    const folder = recording?.folder ?? '';
    if (state === 'on' && folder !== this.folder) {
      this.folder = folder;
      this.since = performance.now();
    }
    const { recordingTo, notRecording } = words.phone;
    this.sign.hidden = state === 'off';
    this.sign.dataset.recording = state;
    // A running recording shows a dot and its time; a stopped one shows words.
    this.is.className = state === 'on' ? 'hidden' : '';
    write(this.is, state === 'on' ? words.phone.recorded : words.phone.unrecorded);
    write(this.time, state === 'on' ? clock(performance.now() - this.since) : '');
    write(this.kept, !recording || state === 'off' ? notRecording : state === 'on' ? recordingTo(folder) : stopped(recording));
  }

  /**
   * @param {boolean} wanted
   * @param {Evidence | null} evidence null until the model has run without the evidence
   */
  evidence(wanted, evidence) {
    this.hidden.hidden = !wanted;
    if (!evidence) return write(this.hidden, words.phone.hiding);
    const { label, before, after, ago } = evidence;
    const parts = [part('span', 'name', label), ' ', part('b', '', percent(before)), ' → ', part('b', '', percent(after)),
      ...(ago ? [' ', part('span', 'ago', words.phone.ago(ago))] : [])];
    const text = parts.map((one) => (typeof one === 'string' ? one : one.textContent)).join('');
    return this.hidden.textContent === text ? undefined : this.hidden.replaceChildren(...parts);
  }

  /** @param {string} sentence about the drawn classes, or an empty one */
  verdict(sentence) {
    this.judged.hidden = !sentence;
    write(this.judged, sentence);
  }

  /** @param {string} sentence about the picture on screen, or an empty one */
  say(sentence) {
    this.seen.hidden = !sentence;
    write(this.seen, sentence);
  }
}

/** Why the recording stopped. @param {Recording} recording */
export function stopped({ code, reason }) {
  return coded(words.phone.recordingStopped, code, words.common.problems.serverSays(reason));
}

/** @param {HTMLElement} element @param {string} text written only if it is new, because some are live regions */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {number} ms */
function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
