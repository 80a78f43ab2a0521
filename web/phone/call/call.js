// @ts-check
/**
 * One call: sends the source's track and commands, receives the explained video and reports.
 *
 * Signalling is one POST with a complete offer, so ICE candidates are gathered first (docs/api.md).
 */

import { coded, words } from '../../shared/i18n.js';
import { hangUp, noCandidate, offer, prepare, take } from '../../shared/signalling.js';
import { UserError } from '../../shared/user-error.js';
import { SilenceWatch } from './silence-watch.js';

/** @typedef {import('../../shared/protocol.js').Command} Command */
/** @typedef {import('../../shared/protocol.js').Report} Report */
/** @typedef {import('../camera/camera.js').Source} Source */

/** From the answer to the connection, and from the connection to the first frame. */
const CONNECTING_MS = 15000;
/** Wi-Fi often recovers within this time. */
const DISCONNECTED_MS = 3000;

/**
 * @typedef {object} Listener
 * @property {(stream: MediaStream) => void} picture the returned video
 * @property {() => void} connected
 * @property {() => void} ready commands can be sent
 * @property {(report: Report) => void} report
 * @property {(sentence: string) => void} refused the server refused a command
 * @property {(problem: UserError) => void} lost
 */

export class Call {
  /**
   * @param {Source} source
   * @param {Listener} listener
   * @param {'h264' | 'vp8'} codec the preferred one
   * @param {((transceiver: RTCRtpTransceiver) => void) | null} passing attaches a transform to the sent frames
   */
  constructor(source, listener, codec, passing) {
    this.source = source;
    this.listener = listener;
    this.closed = false;
    /** @type {string | null} */
    this.location = null;
    this.pictured = false;
    /** @type {number | undefined} */
    this.timeout = undefined;
    /** @type {SilenceWatch | null} */
    this.silence = null;

    // No ICE servers, so no outside traffic. Chromium needs this flag before a transform can be attached.
    this.connection = new RTCPeerConnection(/** @type {RTCConfiguration} */ ({ encodedInsertableStreams: !!passing }));
    this.connection.addEventListener('track', ({ track }) => listener.picture(new MediaStream([track])));
    this.connection.addEventListener('connectionstatechange', () => this.#connectionChanged());

    this.transceiver = this.#addTrack(codec);
    passing?.(this.transceiver);
    this.reports = this.connection.createDataChannel('reports', { ordered: false, maxRetransmits: 0 });
    this.reports.addEventListener('message', ({ data }) => this.#receive(JSON.parse(data)));
    this.reports.addEventListener('close', () => this.#lose(new UserError(words.common.problems.serverClosed)));
    this.commands = this.connection.createDataChannel('commands');
    this.commands.addEventListener('open', () => { if (!this.closed) listener.ready(); });
    this.commands.addEventListener('message', ({ data }) => this.#receive(JSON.parse(data)));
  }

  /** Sends the offer and applies the answer. @param {string} recording the id of the one to continue, or none */
  async open(recording) {
    await prepare(this.connection);
    await this.#keepResolution();
    if (this.closed) return;
    const path = recording ? `/call?continues=${encodeURIComponent(recording)}` : '/call';
    const { location, answer } = await offer(this.connection, path, 'call');
    if (this.closed) return hangUp(location); // cancelled while the server was answering
    this.location = location;
    this.#expect(words.common.problems.noPath);
    await take(this.connection, answer);
  }

  /** The first frame has arrived: from now on only a broken connection ends the call. */
  settled() {
    this.pictured = true;
    clearTimeout(this.timeout);
    const { serverGone, serverSilent, connectionLost } = words.common.problems;
    this.silence ??= new SilenceWatch(this.location ?? '', (answered) => {
      this.#lose(answered ? new UserError(connectionLost) : new UserError(serverGone, { why: serverSilent }));
    });
  }

  /** Sends the source's new track in place of the former one. */
  async replace() {
    const { sender } = this.transceiver;
    await sender.replaceTrack(this.source.track);
    const parameters = sender.getParameters();
    for (const encoding of parameters.encodings) encoding.scaleResolutionDownBy = scaling(this.source);
    await sender.setParameters(parameters).catch((error) => console.info('scaling:', error.message));
  }

  /** @param {Command} command */
  send(command) {
    if (this.commands.readyState === 'open') this.commands.send(JSON.stringify(command));
  }

  /** Ends the call here and at the server; may be called while the page unloads. */
  close() {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.timeout);
    this.silence?.close();
    this.connection.close();
    if (this.location) hangUp(this.location);
  }

  /** @param {'h264' | 'vp8'} codec */
  #addTrack(codec) {
    const { track } = this.source;
    track.contentHint = 'motion';
    const transceiver = this.connection.addTransceiver(track, {
      direction: 'sendrecv',
      sendEncodings: [{ scaleResolutionDownBy: scaling(this.source) }],
    });
    // The order of codecs in the offer decides which one is used.
    const codecs = RTCRtpReceiver.getCapabilities?.('video')?.codecs ?? [];
    const preferred = inOrder(codecs, codec);
    if (preferred.length && transceiver.setCodecPreferences) transceiver.setCodecPreferences(preferred);
    return transceiver;
  }

  /** A new size would start a new recording file, so a slow network drops frames instead. */
  async #keepResolution() {
    const { sender } = this.transceiver;
    const parameters = sender.getParameters();
    parameters.degradationPreference = 'maintain-resolution';
    // Firefox and Safari may refuse it; the call continues without.
    await sender.setParameters(parameters).catch((error) => console.info('maintain-resolution:', error.message));
  }

  #connectionChanged() {
    switch (this.connection.connectionState) {
      case 'connected':
        clearTimeout(this.timeout);
        if (this.pictured) break; // it recovered by itself
        this.#expect(words.common.problems.noPicture);
        this.listener.connected();
        break;
      case 'disconnected':
        this.#expect(words.common.problems.connectionLost, DISCONNECTED_MS);
        break;
      case 'failed':
        this.#lose(this.location ? new UserError(words.common.problems.connectionLost) : noCandidate());
        break;
    }
  }

  /**
   * The call is lost unless the state improves in time.
   *
   * @param {string} sentence
   * @param {number} ms
   */
  #expect(sentence, ms = CONNECTING_MS) {
    clearTimeout(this.timeout);
    this.timeout = setTimeout(() => this.#lose(new UserError(sentence)), ms);
  }

  /**
   * Handles a message on a data channel: a report, a refused command, or the end of the call.
   *
   * @param {Report & {error?: string, code?: string, ended?: import('../../shared/protocol.js').Ended}} message
   */
  #receive(message) {
    if (this.closed) return;
    this.silence?.heard();
    if (message.ended) this.#lose(UserError.ended(message.ended));
    else if (message.error) {
      this.listener.refused(coded(words.phone.problems.commands, message.code, words.common.problems.serverSays(message.error)));
    } else this.listener.report(message);
  }

  /** @param {UserError} problem */
  #lose(problem) {
    if (this.closed) return;
    this.close();
    this.listener.lost(problem);
  }
}

/** @param {Source} source @returns {number} the factor by which its frames are scaled down */
function scaling({ size, most }) {
  return Math.max(1, Math.sqrt((size.width * size.height) / most));
}

/**
 * The codecs that the server supports, the wanted one first; `rtx` retransmits lost packets.
 *
 * @param {RTCRtpCodec[]} codecs
 * @param {'h264' | 'vp8'} wanted
 */
function inOrder(codecs, wanted) {
  const h264 = codecs.filter((codec) => codec.mimeType.toLowerCase() === 'video/h264'
    && codec.sdpFmtpLine?.includes('packetization-mode=1'));
  const vp8 = codecs.filter((codec) => codec.mimeType.toLowerCase() === 'video/vp8');
  const rtx = codecs.filter((codec) => codec.mimeType.toLowerCase() === 'video/rtx');
  if (!h264.length && !vp8.length) return [];
  return wanted === 'vp8' ? [...vp8, ...h264, ...rtx] : [...h264, ...vp8, ...rtx];
}
