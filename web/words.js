// @ts-check
/**
 * Every text of the page, so that a second language is a second object here and nothing else.
 *
 * Errors are sentences that say what happened and what to do next.
 */

const english = {
  picture: 'The explained picture',
  panel: 'What the network sees',
  labels: 'The five most probable classes; press one to hold the heatmap on it',
  headline: 'See what a neural network looks at.',
  pitch: 'Point the camera at something. The warm places are the ones that decide its name.',
  promise: 'The video goes to the computer that serves this page and nowhere else. That computer may record it.',
  start: 'Start the camera',
  startAgain: 'Start again',
  openFile: 'Open a video file',
  cancel: 'Cancel',
  stop: 'Stop',
  record: 'Record',
  opacity: 'Heat',
  colormap: 'Colours',
  hint: 'Tap a label to keep the heatmap on it.',
  hintHeld: 'Tap it again to return to the best label.',
  held: 'held',

  camera: 'Camera',

  phones: 'With a phone',
  phonesHow: 'Scan this with the phone’s camera.',
  phonesMore: 'The phone does not get here?',
  code: 'QR code: the page for phones',
  help: 'Help for phones',

  /** What each state of the page is called in the status line. */
  states: {
    joining: 'Looking for the server…',
    outside: 'Not joined.',
    idle: 'Ready.',
    asking: 'May the page use the camera?',
    calling: 'Connecting…',
    live: 'Live.',
    reconnecting: 'Connecting again…',
    lost: 'The connection was lost.',
    ended: 'Stopped.',
  },
  /** One more sentence for the states that need it. @type {Partial<Record<string, string>>} */
  more: {
    reconnecting: 'The connection broke off. The page tries again by itself, also when the server starts anew.',
    asking: 'The browser asks you. Allow it, and the picture goes to the computer that serves this page.',
    calling: 'The first picture is on its way.',
  },

  fileDone: 'The file has ended.',
  /** @param {string} folder */
  keptIn: (folder) => `The recording is in ${folder} on the computer that serves this page.`,

  /** @param {number} fps */
  fps: (fps) => `${fps} fps`,
  /** @param {number} ms @param {boolean} measured */
  latency: (ms, measured) => (measured ? `${ms} ms` : `${ms} ms estimated`),
  latencyTitle: 'From this device to the computer and back onto the screen',
  exact: 'exact',
  /** @param {number} ms */
  carried: (ms) => `carried, ${ms} ms old`,
  noHeatmap: 'no heatmap',
  stalled: 'no camera picture',
  /** @param {number} frames */
  dropped: (frames) => `${frames} dropped`,

  /** @param {string} folder */
  recordingTo: (folder) => folder,
  /** @param {string} reason */
  recordingStopped: (reason) => reason || 'The recording stopped; the server gave no reason.',

  /** @type {Record<string, string>} */
  colormaps: {
    inferno: 'Inferno', viridis: 'Viridis', magma: 'Magma', cividis: 'Cividis', turbo: 'Turbo', jet: 'Jet',
  },

  problems: {
    refused: 'The camera is blocked for this page. Allow it in the browser’s site settings, then press the button again.',
    noCamera: 'The browser finds no camera. Plug one in and press the button again, or open a video file.',
    inUse: 'The camera is busy, most likely in another app or tab. Close that one, then press the button again.',
    cameraStopped: 'The camera stopped sending pictures. Check that it is still connected and allowed, then start again.',
    /** @param {string} detail */
    cameraOther: (detail) => `The camera did not start (${detail}). Try again, or open a video file.`,
    insecure: 'Browsers give the camera to secure pages only. Open this page with https://, or as http://localhost on '
      + 'the computer that serves it.',
    noCalls: 'This browser cannot make live calls (WebRTC is missing or switched off). Use a current Chrome, Edge, '
      + 'Firefox or Safari.',
    noCapture: 'This browser cannot send a video file (it lacks captureStream, as Safari does). Open the file in '
      + 'Chrome, Edge or Firefox, or use the camera.',
    /** @param {string} name */
    unreadableFile: (name) => `The browser cannot play ${name}. Choose an MP4 (H.264) or WebM file, or explain it on the computer: whycam process ${name}`,
    serverGone: 'The server does not answer. Check that whycam is running and that this device is in its network, '
      + 'then try again.',
    /** @param {number} status @param {string} text */
    serverRefused: (status, text) => text || `The server refused the call (HTTP ${status}). Try again in a moment.`,
    /** @param {string} role */
    wrongRole: (role) => `This device joined as a ${role}. Scan the code for phones, which the computer shows.`,
    badAnswer: 'The server’s answer was not understood. Reload the page, then try again.',
    noPath: 'The server answered, but no connection came about. Check that a firewall or VPN does not stop UDP between '
      + 'this device and the server, then try again.',
    noPicture: 'The connection stands, but no picture came back. Look at the server’s log, then try again.',
    connectionLost: 'The connection broke off. Check that whycam is running and that this device is in its network, '
      + 'then start again.',
    serverClosed: 'The server ended the call. Check that it is still running, then start again.',
    fiveHeld: 'Five labels are held already. Free one first.',
    /** @param {string} text */
    commandRefused: (text) => text,
    /** @param {string} detail */
    unexpected: (detail) => `Something went wrong in the page (${detail}). Reload it, then try again.`,
  },
};

export const words = english;

/** Puts the texts into the elements that name them. */
export function fillIn() {
  const texts = /** @type {Record<string, unknown>} */ (words);
  for (const element of document.querySelectorAll('[data-words]')) {
    element.textContent = String(texts[element.getAttribute('data-words') ?? '']);
  }
  for (const element of document.querySelectorAll('[data-words-alt]')) {
    element.setAttribute('alt', String(texts[element.getAttribute('data-words-alt') ?? '']));
  }
  for (const element of document.querySelectorAll('[data-words-title]')) {
    element.setAttribute('title', String(texts[element.getAttribute('data-words-title') ?? '']));
  }
  for (const element of document.querySelectorAll('[data-words-label]')) {
    element.setAttribute('aria-label', String(texts[element.getAttribute('data-words-label') ?? '']));
  }
}

/** A failure that a person can do something about: its message is the sentence to show. */
export class Problem extends Error {
  /** @param {string} sentence @param {ErrorOptions & {status?: number}} [options] `status`: the server's answer */
  constructor(sentence, options) {
    super(sentence, options);
    this.status = options?.status ?? 0;
  }

  /** The device has to join first. */
  get outside() { return this.status === 401; }

  /** Whether the same may go well a little later. */
  get passes() { return this.status === 0 || this.status === 429 || this.status >= 500; }
}
