// @ts-check
/** What lies on the picture: that it is recorded, that its evidence is covered, that it is frozen. */

import { find } from './find.js';
import { percent, words } from './words.js';

/** @typedef {import('./protocol.js').Hidden} Hidden */
/** @typedef {import('./protocol.js').Recording} Recording */

export class Signs {
  constructor() {
    this.sign = find('recording', HTMLElement);
    this.time = find('recording-time', HTMLElement);
    this.kept = find('kept', HTMLElement);
    this.hidden = find('hidden', HTMLElement);
    this.seen = find('seen', HTMLElement);
    /** What is recorded to, and since when. */
    this.folder = '';
    this.since = 0;
  }

  clear() {
    this.folder = '';
    this.recording(undefined);
    this.evidence(false, null);
    this.say('');
  }

  /** Nothing is known of it now: no word from the server for a while. */
  doubt() {
    this.sign.hidden = this.hidden.hidden = true;
  }

  /** @param {Recording | undefined} recording */
  recording(recording) {
    const state = recording?.state ?? 'off';
    const folder = recording?.folder ?? '';
    if (state === 'on' && folder !== this.folder) {
      this.folder = folder;
      this.since = performance.now();
    }
    const { recordingTo, recordingStopped, notRecording } = words.phone;
    this.sign.hidden = state === 'off';
    this.sign.dataset.recording = state;
    write(this.time, state === 'on' ? clock(performance.now() - this.since) : '');
    write(this.kept, {
      on: recordingTo(folder), stopped: recordingStopped(recording?.reason ?? ''), off: notRecording,
    }[state]);
  }

  /**
   * @param {boolean} wanted
   * @param {Hidden | null} hidden the class whose evidence is covered, once the model was asked
   */
  evidence(wanted, hidden) {
    this.hidden.hidden = !wanted;
    if (!hidden) return write(this.hidden, words.phone.hiding);
    const { label, before, after } = hidden;
    if (this.hidden.textContent === `${label} ${percent(before)} → ${percent(after)}`) return undefined;
    const name = part('span', label);
    name.className = 'name';
    return this.hidden.replaceChildren(name, ' ', part('b', percent(before)), ' → ', part('b', percent(after)));
  }

  /** @param {string} sentence about the picture that is seen, or none */
  say(sentence) {
    this.seen.hidden = !sentence;
    write(this.seen, sentence);
  }
}

/** @param {'span' | 'b'} tag @param {string} text */
function part(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

/** @param {HTMLElement} element @param {string} text written only where it is new: some are live regions */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {number} ms */
function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
