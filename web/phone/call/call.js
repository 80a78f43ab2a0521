// @ts-check
/**
 * One call: the source's track goes out, the explained picture and the reports come back, commands go out.
 *
 * Signalling is one POST (docs/api.md): the offer is complete, so the page waits for its candidates first.
 */

import { coded, words } from '../../shared/i18n.js';
import { hangUp, offer, prepare, take } from '../../shared/signalling.js';
import { UserError } from '../../shared/user-error.js';

/** @typedef {import('../../shared/protocol.js').Command} Command */
/** @typedef {import('../../shared/protocol.js').Report} Report */
/** @typedef {import('../camera/camera.js').Source} Source */

/** From the answer to the connection, and from there to the first picture. */
const CONNECTING_MS = 15000;
/** Wi-Fi often comes back within this. */
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
   * @param {'h264' | 'vp8'} codec the one to prefer
   * @param {((transceiver: RTCRtpTransceiver) => void) | null} passing sees to it that the sent frames can be seen
   */
  constructor(source, listener, codec, passing) {
    if (!('RTCPeerConnection' in window)) throw new UserError(words.common.problems.noCalls);
    this.source = source;
    this.listener = listener;
    this.closed = false;
    /** @type {string | null} */
    this.location = null;
    this.pictured = false;
    /** @type {number | undefined} */
    this.patience = undefined;

    // No ICE servers: nothing outside is asked. Chromium wants to be told beforehand that frames will be looked at.
    this.connection = new RTCPeerConnection(/** @type {RTCConfiguration} */ ({ encodedInsertableStreams: !!passing }));
    this.connection.addEventListener('track', ({ track }) => listener.picture(new MediaStream([track])));
    this.connection.addEventListener('connectionstatechange', () => this.#connectionChanged());

    this.transceiver = this.#addTrack(codec);
    passing?.(this.transceiver);
    this.reports = this.connection.createDataChannel('reports', { ordered: false, maxRetransmits: 0 });
    this.reports.addEventListener('message', ({ data }) => this.#hear(JSON.parse(data)));
    this.reports.addEventListener('close', () => this.#lose(new UserError(words.common.problems.serverClosed)));
    this.commands = this.connection.createDataChannel('commands');
    this.commands.addEventListener('open', () => { if (!this.closed) listener.ready(); });
    this.commands.addEventListener('message', ({ data }) => this.#hear(JSON.parse(data)));
  }

  /** Offers, and takes the server's answer. @param {string} recording the id of the one to go on with, or none */
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

  /** The first picture has come: from now on only a broken connection ends the call. */
  settled() {
    this.pictured = true;
    clearTimeout(this.patience);
  }

  /** The source has another track: it goes where the former one went. */
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

  /** Ends the call here and at the server; may be called while the page goes away. */
  close() {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.patience);
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
    // The codec is settled by the order of the offer.
    const codecs = RTCRtpReceiver.getCapabilities?.('video')?.codecs ?? [];
    const preferred = inOrder(codecs, codec);
    if (preferred.length && transceiver.setCodecPreferences) transceiver.setCodecPreferences(preferred);
    return transceiver;
  }

  /** A new size would begin a new file of the recording, so a slow network costs frames instead. */
  async #keepResolution() {
    const { sender } = this.transceiver;
    const parameters = sender.getParameters();
    parameters.degradationPreference = 'maintain-resolution';
    // Firefox and Safari may refuse it; the call goes on without.
    await sender.setParameters(parameters).catch((error) => console.info('maintain-resolution:', error.message));
  }

  #connectionChanged() {
    switch (this.connection.connectionState) {
      case 'connected':
        clearTimeout(this.patience);
        if (this.pictured) break; // it came back by itself
        this.#expect(words.common.problems.noPicture);
        this.listener.connected();
        break;
      case 'disconnected':
        this.#expect(words.common.problems.connectionLost, DISCONNECTED_MS);
        break;
      case 'failed':
        this.#lose(new UserError(words.common.problems.connectionLost));
        break;
    }
  }

  /**
   * The call is lost unless something better happens in time.
   *
   * @param {string} sentence
   * @param {number} ms
   */
  #expect(sentence, ms = CONNECTING_MS) {
    clearTimeout(this.patience);
    this.patience = setTimeout(() => this.#lose(new UserError(sentence)), ms);
  }

  /**
   * What the server says on a channel: a report, what is wrong with a command, or why it ends the call.
   *
   * @param {Report & {error?: string, code?: string, ended?: import('../../shared/protocol.js').Ended}} told
   */
  #hear(told) {
    if (this.closed) return;
    if (told.ended) this.#lose(UserError.ended(told.ended));
    else if (told.error) {
      this.listener.refused(coded(words.phone.problems.commands, told.code, words.common.problems.serverSays(told.error)));
    } else this.listener.report(told);
  }

  /** @param {UserError} problem */
  #lose(problem) {
    if (this.closed) return;
    this.close();
    this.listener.lost(problem);
  }
}

/** @param {Source} source @returns {number} by how much its picture is made smaller */
function scaling({ size, most }) {
  return Math.max(1, Math.sqrt((size.width * size.height) / most));
}

/**
 * The codecs that the server speaks, the wanted one first; `rtx` is what resends lost packets.
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
