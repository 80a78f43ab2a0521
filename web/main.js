// @ts-check
/** Wires the page: the button, the states, one call at a time. */

import { Call } from './call.js';
import { SIZES, openCamera } from './camera.js';
import { showQuality, showRecording } from './chip.js';
import { Controls } from './controls.js';
import { openFilm } from './film.js';
import { find } from './find.js';
import { Gaze } from './gaze.js';
import { join } from './join.js';
import { Labels } from './labels.js';
import { Latency } from './latency.js';
import { Meter } from './meter.js';
import { showPhones } from './phones.js';
import { Problem } from './problem.js';
import { States } from './states.js';
import { fillIn, words } from './words.js';

/** @typedef {import('./camera.js').Source} Source */
/** @typedef {import('./protocol.js').Report} Report */
/** @typedef {import('./states.js').State} State */
/** @typedef {import('./protocol.js').Command} Command */

/**
 * One try, from the button to its end; its call may be made again.
 *
 * @typedef {{source: Source | null, call: Call | null, over: boolean, tries: number, wishes: Command | null}} Attempt
 */

/** A sign that is read twice a second is calm. */
const CHIP_MS = 500;
const TOAST_MS = 6000;
/** Before each new call of a try that broke off: a server is started again in seconds, a router in a minute. */
const AGAIN_MS = [500, 1000, 2000, 3000, ...Array(11).fill(5000)];

fillIn();
const video = find('returned', HTMLVideoElement);
const start = find('start', HTMLButtonElement);
const stop = find('stop', HTMLButtonElement);
const file = find('open-file', HTMLInputElement);
const headline = find('headline', HTMLElement);
const detail = find('detail', HTMLElement);
const error = find('error', HTMLElement);

/** @type {Attempt | null} */
let current = null;
/** @type {Report | null} */
let report = null;
/** The last folder that this call was recorded to. */
let folder = '';
/** @type {number | undefined} */
let toast;

const gaze = new Gaze(find('gaze', HTMLCanvasElement), find('invitation', HTMLElement));
const states = new States(show);
const latency = new Latency();
const meter = new Meter(video, firstPicture, (metadata) => latency.shown(metadata));
const labels = new Labels(find('labels', HTMLElement), find('hint', HTMLElement), (classNumber) => {
  controls.toggle(classNumber);
  labels.hurry();
});
const controls = new Controls(
  { opacity: find('opacity', HTMLInputElement), colormap: find('colormap', HTMLSelectElement), record: find('record', HTMLElement) },
  (command) => current?.call?.send(command),
  complain,
);

const asked = new URLSearchParams(location.search);
const size = asked.get('size') === '720p' ? SIZES['720p'] : SIZES['480p'];
start.addEventListener('click', () => begin('asking', () => openCamera(size)));
file.addEventListener('change', () => {
  const chosen = file.files?.[0];
  file.value = ''; // choosing the same file again is a change as well
  if (chosen) begin('calling', () => openFilm(chosen));
});
stop.addEventListener('click', () => finish());
find('cancel', HTMLButtonElement).addEventListener('click', () => finish());
window.addEventListener('pagehide', () => finish());
// A phone turned in mid-stream turns its picture.
video.addEventListener('resize', () => {
  document.body.style.setProperty('--aspect', String(video.videoWidth / Math.max(1, video.videoHeight)));
});
setInterval(() => { if (states.now === 'live') showQuality(report, meter.fps, latency.now); }, CHIP_MS);

window.addEventListener('hashchange', () => { if (location.hash && !current) void enter(); });

show('joining');
void enter();

/** Learns what this device is to the server: only one that joined gets the buttons. */
async function enter() {
  if (states.now !== 'joining') states.go('joining');
  complain('');
  try {
    const { role, says } = await join();
    const welcome = role === 'host' || role === 'phone';
    find('help', HTMLElement).hidden = role === 'host';
    if (role === 'host') await showPhones();
    states.go(welcome ? 'idle' : 'outside');
    if (!welcome) complain(role ? words.phone.problems.wrongRole : says);
    else if (!window.isSecureContext) complain(words.common.problems.insecure);
  } catch (reason) {
    if (states.now === 'joining') states.go('outside');
    complain(Problem.of(reason).message);
  }
}

/**
 * Asks for pictures, calls, and waits for the first one to come back.
 *
 * @param {State} state
 * @param {() => Promise<Source>} openSource
 */
async function begin(state, openSource) {
  if (current) return;
  /** @type {Attempt} */
  const attempt = { source: null, call: null, over: false, tries: 0, wishes: null };
  current = attempt;
  report = null;
  folder = '';
  labels.clear();
  controls.clear();
  complain('');
  states.go(state);
  try {
    const source = await openSource();
    if (attempt.over) return source.close();
    attempt.source = source;
    find('source', HTMLElement).textContent = source.name;
    if (state !== 'calling') states.go('calling');
    void source.over.then((how) => {
      if (attempt.over) return;
      if (how === 'broken') finish(words.phone.problems.cameraStopped);
      else finish('', true);
    });
    await dial(attempt, source);
  } catch (reason) {
    if (attempt.over) return;
    console.warn(reason);
    fail(Problem.of(reason));
  }
}

/** @param {Attempt} attempt @param {Source} source */
async function dial(attempt, source) {
  const passing = (await latency.prepare()) ? latency.attach.bind(latency) : null;
  if (attempt.over) return;
  const call = new Call(source, {
    picture: (stream) => {
      video.srcObject = stream;
      meter.watch(call.connection);
      latency.watch(call.connection);
    },
    connected: () => source.start(),
    ready: () => { if (attempt.wishes) call.send(attempt.wishes); },
    report: take,
    refused: (text) => {
      complain(words.phone.problems.commandRefused(text));
      controls.refused();
    },
    lost: (problem) => {
      if (attempt.over || attempt.call !== call) return;
      latency.distrusted ||= meter.frames === 0;
      if (states.now === 'calling') fail(problem);
      else void again(attempt, problem);
    },
  }, asked.get('codec') === 'vp8' ? 'vp8' : 'h264', passing);
  attempt.call = call;
  await call.open();
}

/**
 * The call broke off: the same pictures in a new call, for as long as the server may come back.
 *
 * @param {Attempt} attempt
 * @param {Problem} problem
 */
async function again(attempt, problem) {
  if (states.now === 'live') {
    attempt.tries = 0;
    attempt.wishes = controls.wishes();
    meter.stop();
    latency.clear();
    states.go('reconnecting');
  }
  attempt.call?.close();
  if (!problem.passes || attempt.tries >= AGAIN_MS.length || !attempt.source) return fail(problem);
  await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS[attempt.tries]); });
  await seen(); // a phone in a pocket sends no picture
  attempt.tries += 1;
  if (attempt.over) return;
  try {
    await dial(attempt, attempt.source);
  } catch (reason) {
    if (!attempt.over) await again(attempt, Problem.of(reason));
  }
}

/** @returns {Promise<void>} when somebody looks at the page */
async function seen() {
  while (document.hidden) {
    await new Promise((resolve) => { document.addEventListener('visibilitychange', resolve, { once: true }); });
  }
}

function firstPicture() {
  if (states.now !== 'calling' && states.now !== 'reconnecting') return;
  current?.call?.settled();
  states.go('live');
}

/** @param {Report} newest */
function take(newest) {
  report = newest;
  latency.report(newest);
  folder = newest.recording.folder || folder;
  controls.show(newest);
  labels.show(newest, controls.held);
  showRecording(newest.recording);
}

/**
 * The person, the end of the file or the page's end ends the call.
 *
 * @param {string} problem a sentence to show with it
 * @param {boolean} played whether a file came to its end
 */
function finish(problem = '', played = false) {
  if (!current) return;
  const wasLive = states.now === 'live' || states.now === 'reconnecting';
  close();
  states.go(wasLive || played ? 'ended' : 'idle');
  if (played) headline.textContent = words.phone.fileDone;
  if (folder) detail.textContent = words.phone.keptIn(folder);
  complain(problem);
}

/** @param {Problem} problem */
function fail(problem) {
  const wasLive = states.now === 'reconnecting';
  close();
  if (problem.outside) states.go('outside');
  else states.go(wasLive ? 'lost' : 'idle');
  if (wasLive && folder) detail.textContent = words.phone.keptIn(folder);
  complain(problem.message);
}

function close() {
  if (!current) return;
  current.over = true;
  current.call?.close();
  current.source?.close();
  current = null;
  video.srcObject = null;
  meter.stop();
  latency.clear();
}

/** @param {string} sentence shown until the next try, or for a few seconds over a live picture */
function complain(sentence) {
  clearTimeout(toast);
  error.textContent = sentence;
  error.hidden = !sentence;
  if (sentence && states.now === 'live') toast = setTimeout(() => complain(''), TOAST_MS);
}

/** @param {State} state */
function show(state) {
  document.body.dataset.state = state;
  headline.textContent = words.phone.states[state];
  detail.textContent = words.phone.more[state] ?? '';
  find('start-words', HTMLElement).textContent = state === 'lost' || state === 'ended' ? words.phone.startAgain : words.phone.start;
  find('chip', HTMLElement).hidden = state !== 'live';
  gaze.run(state !== 'live');
  if (state === 'live') showQuality(report, meter.fps, latency.now);
  else showRecording(undefined);
  // The button that was pressed is hidden now: the keyboard goes on at the next one.
  if (state === 'live') stop.focus({ preventScroll: true });
  if (state === 'lost' || state === 'ended') start.focus({ preventScroll: true });
}

/** What the tests look at. */
Object.defineProperty(window, 'whycam', {
  value: Object.freeze({
    get state() { return states.now; },
    get report() { return report; },
    get frames() { return meter.frames; },
    get fps() { return meter.fps; },
    get latency() { return latency.now; },
    get connection() { return current?.call?.connection ?? null; },
  }),
});
