// @ts-check
/** A WHEP viewer of one stream of a session: receives video and reports, sends nothing. */

import { words } from './i18n.js';
import { hangUp, noCandidate, offer, prepare, take } from './signalling.js';
import { UserError } from './user-error.js';

/** @typedef {import('./protocol.js').Report} Report */

/** From the answer to the first frame; a viewer starts with a keyframe. */
const FIRST_PICTURE_MS = 15000;
/** Wi-Fi often recovers within this time. */
const DISCONNECTED_MS = 3000;

/**
 * @typedef {object} Watching
 * @property {(report: Report) => void} report
 * @property {() => void} seen the first frame is on screen
 * @property {(problem: UserError) => void} over no more frames arrive
 */

export class WhepViewer {
  /**
   * @param {HTMLVideoElement} video
   * @param {string} session its id
   * @param {'explained' | 'camera'} stream
   * @param {Watching} listener
   */
  constructor(video, session, stream, listener) {
    if (!('RTCPeerConnection' in window)) throw new UserError(words.common.problems.noCalls);
    this.video = video;
    this.path = `/whep/${encodeURIComponent(session)}?stream=${stream}`;
    this.listener = listener;
    this.closed = false;
    this.location = '';
    /** @type {number | undefined} */
    this.timeout = undefined;

    this.connection = new RTCPeerConnection();
    this.connection.addTransceiver('video', { direction: 'recvonly' });
    this.connection.addEventListener('track', ({ track, receiver }) => {
      video.srcObject = new MediaStream([track]);
      // The server closes a session's connections when it ends. The transport's state shows that first.
      receiver.transport?.addEventListener('statechange', () => {
        if (receiver.transport?.state === 'closed') this.#lose(words.common.problems.serverClosed);
      });
    });
    this.connection.addEventListener('connectionstatechange', () => this.#connectionChanged());
    // Reports are the same for both streams.
    this.reports = this.connection.createDataChannel('reports', { ordered: false, maxRetransmits: 0 });
    this.reports.addEventListener('message', ({ data }) => {
      const message = JSON.parse(data);
      if (!this.closed && !message.ended) listener.report(message);
    });
    this.reports.addEventListener('close', () => this.#lose(words.common.problems.serverClosed));
    this.first = () => { clearTimeout(this.timeout); if (!this.closed) listener.seen(); };
    video.addEventListener('playing', this.first, { once: true });
  }

  /** Rejects with a `UserError` if the server refuses the viewer. */
  async open() {
    try {
      await prepare(this.connection);
      if (this.closed) return;
      const { location, answer } = await offer(this.connection, this.path, 'watch');
      this.location = location;
      if (this.closed) return hangUp(location); // closed while the server was answering
      this.#expect(words.common.problems.noPicture, FIRST_PICTURE_MS);
      await take(this.connection, answer);
    } catch (error) {
      if (!this.closed) { this.close(); throw error; }
    }
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.timeout);
    this.video.removeEventListener('playing', this.first);
    this.connection.close();
    if (this.location) hangUp(this.location);
  }

  #connectionChanged() {
    switch (this.connection.connectionState) {
      case 'connected':
        if (!this.video.paused && this.video.videoWidth) clearTimeout(this.timeout); // it recovered by itself
        break;
      case 'disconnected':
        this.#expect(words.common.problems.connectionLost, DISCONNECTED_MS);
        break;
      case 'failed':
        this.#lose(this.location ? words.common.problems.connectionLost : noCandidate().message);
        break;
    }
  }

  /** @param {string} sentence @param {number} ms */
  #expect(sentence, ms) {
    clearTimeout(this.timeout);
    this.timeout = setTimeout(() => this.#lose(sentence), ms);
  }

  /** @param {string} sentence */
  #lose(sentence) {
    if (this.closed) return;
    this.close();
    this.listener.over(new UserError(sentence));
  }
}
