// @ts-check
/** Wires the page: buttons, states, and one call attempt at a time. */

import { find } from '../shared/dom.js';
import { EvidenceOnScreen } from '../shared/labels/evidence.js';
import { fillIn, words } from '../shared/i18n.js';
import { join } from '../shared/join.js';
import { Labels } from '../shared/labels/labels.js';
import { sentenceOf } from '../shared/labels/verdict.js';
import { ReportOnScreen } from '../shared/labels/report-on-screen.js';
import { showLegend } from '../shared/labels/difference-legend.js';
import { CurrentModel } from '../shared/model/current-model.js';
import { nameOfChosen } from '../shared/model/map-names.js';
import { TaskNote } from '../shared/model/task-note.js';
import { UserError } from '../shared/user-error.js';
import { ScreenWakeLock } from '../shared/wake-lock.js';
import { FrameMeter } from './call/frame-meter.js';
import { Latency } from './call/latency.js';
import { ReconnectingCall } from './call/reconnecting-call.js';
import { CameraControls } from './camera/camera-controls.js';
import { Camera, SIZES } from './camera/camera.js';
import { openFile } from './camera/file-source.js';
import { ClassSearch } from './controls/class-search.js';
import { Controls } from './controls/controls.js';
import { ModelChoice } from './controls/model-choice.js';
import { RecordingChoice } from './controls/recording-choice.js';
import { Films } from './films/films.js';
import { PageState } from './page-state.js';
import { Ambient } from './picture/ambient.js';
import { Peek } from './picture/peek.js';
import { Snapshot } from './picture/snapshot.js';
import { Announcer } from './status/announcer.js';
import { QualityChip } from './status/quality-chip.js';
import { StatusBadges, stopped } from './status/status-badges.js';
import { Teach } from './teach/teach.js';
import { IdleHeatmap } from './welcome/idle-heatmap.js';
import { JoinCode } from './welcome/join-code.js';

/** @typedef {import('../shared/protocol.js').Report} Report */
/** @typedef {import('./camera/camera.js').Source} Source */
/** @typedef {import('./page-state.js').State} State */

/** Two updates a second are readable. */
const CHIP_MS = 500;
/** Without a frame or a report for this long, the server or the path to it is lost. */
const SILENT_MS = 2500;
const TOAST_MS = 6000;
const TIP_MS = 7000;

fillIn();
const video = find('returned', HTMLVideoElement);
const camera = find('camera', HTMLVideoElement);
const start = find('start', HTMLButtonElement);
const peeking = find('peek', HTMLButtonElement);
const file = find('open-file', HTMLInputElement);
const headline = find('headline', HTMLElement);
const detail = find('detail', HTMLElement);
const error = find('error', HTMLElement);
const tip = find('tip', HTMLElement);
const more = find('more', HTMLButtonElement);
const settings = find('settings', HTMLElement);
const share = find('share', HTMLButtonElement);
const legend = find('legend', HTMLElement);

/** @type {ReconnectingCall | null} */
let current = null;
/** @type {Report | null} */
let report = null;
/** The newest report that all of the list shows. @type {Report | null} */
let listed = null;
/** The last folder that this call was recorded to. */
let folder = '';
let tipShown = false;
/** When the last frame or report arrived. */
let receivedAt = 0;
/** @type {number | undefined} */
let toast;

const idleHeatmap = new IdleHeatmap(find('idle-heatmap', HTMLCanvasElement), find('invitation', HTMLElement));
const ambient = new Ambient(video, find('ambient', HTMLCanvasElement), find('last', HTMLCanvasElement));
const wakeLock = new ScreenWakeLock();
const pageState = new PageState(show);
const latency = new Latency();
const chip = new QualityChip();
const badges = new StatusBadges();
const evidence = new EvidenceOnScreen();
const announcer = new Announcer(find('said', HTMLElement));
const onScreen = new ReportOnScreen((shown) => {
  if (labels.show(shown, controls.pinned)) listed = shown;
  teach.live(shown);
  badges.evidence(controls.hide.on, evidence.of(shown));
  badges.verdict(peek.on ? '' : sentenceOf(shown));
  showLegend(legend, shown);
  legend.hidden = peek.on || !legend.textContent;
});
const meter = new FrameMeter(video, firstPicture, (metadata) => {
  receivedAt = performance.now();
  latency.shown(metadata);
  onScreen.shown(metadata);
});
const controls = new Controls((command) => current?.send(command));
const labels = new Labels(find('labels', HTMLElement), find('hint', HTMLElement), pin);
const classSearch = new ClassSearch((number) => { pin(number); openMore(false); }, complain);
const taskNote = new TaskNote(find('task', HTMLElement));
const currentModel = new CurrentModel((model) => {
  taskNote.show(model);
  controls.compare(model?.signed ?? false);
});
const joinCode = new JoinCode(complain);
const films = new Films(complain);
const modelChoice = new ModelChoice(complain);
const teach = new Teach((command) => current?.send(command), complain, () => void modelChoice.offer());
const recordingChoice = new RecordingChoice(complain);
const cameraControls = new CameraControls(async () => {
  await current?.call?.replace();
  peek.watch(current?.source?.track ?? null);
}, complain);
const peek = new Peek(peeking, camera, find('still', HTMLImageElement), (on) => {
  document.body.dataset.seen = on ? 'camera' : 'explained';
  if (on) dismissTip();
  showView();
});
const snapshot = new Snapshot(() => (peek.on ? peek.picture : video), () => report?.labels[0] ?? '');

const asked = new URLSearchParams(location.search);
const codec = asked.get('codec') === 'vp8' ? 'vp8' : 'h264';
const size = asked.get('size') === '720p' ? SIZES['720p'] : SIZES['480p'];
start.addEventListener('click', () => void asRead(() => begin('asking', () => Camera.open(size))));
file.addEventListener('change', () => {
  const chosen = file.files?.[0];
  file.value = ''; // so that choosing the same file again is a change
  if (chosen) void asRead(() => begin('calling', () => play(chosen)));
});
find('stop', HTMLButtonElement).addEventListener('click', () => finish());
find('cancel', HTMLButtonElement).addEventListener('click', () => finish());
find('save', HTMLButtonElement).addEventListener('click', () => said(async () => {
  const name = await snapshot.save();
  return name && words.phone.saved(name);
}));
share.addEventListener('click', () => said(async () => { await snapshot.share(); return ''; }));
share.hidden = !Snapshot.canShare || Snapshot.sharesToSave; // then Save does the same
settings.addEventListener('scroll', fade, { passive: true });
new ResizeObserver(fade).observe(settings);
more.addEventListener('click', () => openMore(more.getAttribute('aria-expanded') !== 'true'));
find('hide', HTMLButtonElement).addEventListener('click', () => { evidence.clear(); badges.evidence(controls.hide.on, null); });
find('panel', HTMLElement).addEventListener('click', dismissTip); // a person who found the controls needs no tip
window.addEventListener('pagehide', () => finish());
// A phone that is turned during a call turns its video.
video.addEventListener('resize', () => {
  document.body.style.setProperty('--aspect', String(video.videoWidth / Math.max(1, video.videoHeight)));
});
setInterval(look, CHIP_MS);
window.addEventListener('hashchange', () => { if (location.hash && !current) void enter(); });

openMore(false);
show('joining');
void enter();

/** Fetches this device's role: only a device that has joined gets the buttons. */
async function enter() {
  if (pageState.now !== 'joining') pageState.go('joining');
  complain('');
  try {
    const { role, says } = await join();
    const welcome = role === 'host' || role === 'phone';
    find('help', HTMLElement).hidden = role === 'host';
    if (welcome) void classSearch.load();
    if (welcome) await recordingChoice.load(role === 'host');
    if (welcome) await films.load();
    if (welcome) teach.join(role === 'host');
    if (role === 'host') await Promise.all([joinCode.load(), modelChoice.offer()]);
    pageState.go(welcome ? 'idle' : 'outside');
    if (!welcome) complain(role ? words.phone.problems.wrongRole : says);
    else if (!window.isSecureContext) complain(words.common.problems.insecure);
  } catch (reason) {
    if (pageState.now === 'joining') pageState.go('outside');
    complain(UserError.of(reason).message);
  }
}

/** Opens a file to be sent like a camera; one that the browser cannot play can still be explained. @param {File} chosen */
async function play(chosen) {
  try {
    return await openFile(chosen);
  } catch (reason) {
    films.offer(chosen);
    throw reason;
  }
}

/** Starts only what the person has read about: the host may have changed what is recorded. @param {() => void} starts */
async function asRead(starts) {
  if (current) return;
  if (await recordingChoice.isAsRead()) starts();
  else complain(words.phone.recordsNow);
}

/**
 * Opens a source, calls, and waits for the first returned frame.
 *
 * @param {State} state
 * @param {() => Promise<Source>} openSource
 */
function begin(state, openSource) {
  if (current) return;
  current = new ReconnectingCall(latency, codec, {
    opened(source) {
      if (pageState.now === 'asking') pageState.go('calling');
      peek.watch(source.track);
      cameraControls.watch(source);
    },
    picture({ connection }, stream) {
      video.srcObject = stream;
      meter.watch(connection);
      latency.watch(connection);
    },
    report: take,
    refused(sentence) {
      complain(sentence);
      controls.refused();
      teach.refused();
    },
    interrupted(problem) {
      complain('');
      meter.stop();
      latency.clear();
      onScreen.clear();
      pageState.go('reconnecting');
      detail.textContent = words.phone.again(problem.why);
      return controls.settings();
    },
    ended: (how) => (how === 'broken' ? finish(words.phone.problems.cameraStopped) : finish('', true)),
    failed: fail,
  });
  report = listed = null;
  folder = '';
  labels.clear();
  controls.clear();
  badges.clear();
  evidence.clear();
  chip.clear();
  complain('');
  pageState.go(state);
  void current.begin(openSource);
}

function firstPicture() {
  if (pageState.now !== 'calling' && pageState.now !== 'reconnecting') return;
  current?.settled();
  receivedAt = performance.now();
  pageState.go('live');
}

/** @param {Report} newest */
function take(newest) {
  const before = report;
  report = newest;
  receivedAt = performance.now();
  latency.report(newest);
  folder = newest.recording.folder || folder;
  if (before) noteChange(before, newest);
  controls.show(newest);
  teach.follow(newest);
  onScreen.take(newest);
  currentModel.show(newest);
  peek.show(newest);
  announcer.announce(newest);
  badges.recording(newest.recording);
  if (newest.recording.state === 'stopped' && before?.recording.state === 'on') complain(stopped(newest.recording));
  if (pictured() && newest.frozen !== (pageState.now === 'frozen')) pageState.go(newest.frozen ? 'frozen' : 'live');
}

/** The host may have chosen another model, or another of its maps, for all sessions. @param {Report} before @param {Report} now */
function noteChange(before, now) {
  if (now.model !== before.model || now.class_set !== before.class_set) classSearch.forget();
  if (now.model !== before.model) {
    announcer.clear();
    complain(words.common.modelIs(now.model), true);
  } else if (now.map.method !== before.map.method || now.map.layer !== before.map.layer) {
    complain(words.common.maps.is(nameOfChosen(now.map, before.map)), true);
  } else return;
  modelChoice.show(now);
}

/** @param {number} number a class to pin or to release */
function pin(number) {
  controls.toggle(number);
  labels.hurry();
}

/** Whether the explained picture is on screen. */
function pictured() {
  return pageState.now === 'live' || pageState.now === 'frozen';
}

/** Shows the picture's quality, or that no picture arrives. */
function look() {
  if (!pictured()) return;
  const silent = performance.now() - receivedAt > SILENT_MS;
  if (silent) {
    chip.silent();
    badges.markStale();
    legend.hidden = true;
    labels.markStale();
  } else chip.show(report, meter.fps, latency.now);
  const sentence = silent ? words.phone.badDay.silent : words.phone.states[pageState.now];
  if (headline.textContent !== sentence) headline.textContent = sentence;
}

/** Says what is on screen if it is not the live picture. */
function showView() {
  badges.say(peek.on ? words.phone.peeking : pageState.now === 'frozen' ? words.phone.frozen : '');
}

/** The tip about tapping the picture is shown once. */
function dismissTip() {
  tipShown = tip.hidden = true;
}

/** On a phone the settings replace the labels. @param {boolean} open */
function openMore(open) {
  more.setAttribute('aria-expanded', String(open));
  document.body.dataset.more = String(open);
  fade();
}

/** Settings that do not fit fade at the lower edge, to show that they scroll. */
function fade() {
  settings.dataset.below = String(settings.scrollHeight - settings.scrollTop - settings.clientHeight > 4);
}

/** Runs a task and shows its result. @param {() => Promise<string>} task */
async function said(task) {
  try {
    complain(await task(), true);
  } catch (reason) {
    complain(UserError.of(reason).message);
  }
}

/**
 * Ends the call, after a button, the end of the file or the end of the page.
 *
 * @param {string} problem a sentence to show, or none
 * @param {boolean} played whether a file played to its end
 */
function finish(problem = '', played = false) {
  if (!current) return;
  const wasLive = pictured() || pageState.now === 'reconnecting';
  close();
  pageState.go(wasLive || played ? 'ended' : 'idle');
  if (played) headline.textContent = words.phone.fileDone;
  offerRecording();
  complain(problem);
}

/** @param {UserError} problem */
function fail(problem) {
  const wasLive = pageState.now === 'reconnecting';
  close();
  if (problem.outside) pageState.go('outside');
  else pageState.go(wasLive ? 'lost' : 'idle');
  if (wasLive && problem.code) headline.textContent = words.phone.serverEnded;
  offerRecording();
  complain(problem.message);
}

/** The recording of the call that is over, as a link. */
function offerRecording() {
  const again = find('again', HTMLElement);
  again.hidden = !folder;
  again.querySelector('a')?.setAttribute('href', `/recordings#${encodeURIComponent(folder.split(/[\\/]/).pop() ?? '')}`);
}

function close() {
  current?.close();
  current = null;
  video.srcObject = null;
  peek.watch(null);
  cameraControls.watch(null);
  meter.stop();
  latency.clear();
  onScreen.clear();
  announcer.clear();
  openMore(false);
}

/** @param {string} sentence shown until the next attempt, or for a few seconds over a picture @param {boolean} good news */
function complain(sentence, good = false) {
  clearTimeout(toast);
  error.textContent = sentence;
  error.hidden = !sentence;
  error.classList.toggle('good', good);
  if (sentence && pictured()) toast = setTimeout(() => complain(''), TOAST_MS);
}

/** @param {State} state */
function show(state) {
  document.body.dataset.state = state;
  document.body.dataset.pictured = String(pictured());
  headline.textContent = words.phone.states[state];
  detail.textContent = words.phone.stateMore[state] ?? '';
  find('start-words', HTMLElement).textContent = state === 'lost' || state === 'ended'
    ? words.phone.startAgain : words.phone.start;
  idleHeatmap.run(!pictured() && state !== 'reconnecting');
  ambient.run(pictured());
  teach.run(pictured());
  wakeLock.keep(pictured() || state === 'reconnecting');
  showView();
  if (pictured()) chip.show(report, meter.fps, latency.now);
  else badges.clear();
  if (!pictured()) legend.hidden = true;
  if (state === 'live' && !tipShown) setTimeout(dismissTip, TIP_MS);
  tip.hidden = state !== 'live' || tipShown;
  // The pressed button is hidden now, so the keyboard focus moves to the next one.
  if (state === 'live' && (document.activeElement ?? document.body) === document.body) {
    peeking.focus({ preventScroll: true });
  }
  if (state === 'lost' || state === 'ended') start.focus({ preventScroll: true });
}

/** For the tests. */
Object.defineProperty(window, 'whycam', {
  value: Object.freeze({
    get state() { return pageState.now; },
    get report() { return report; },
    get listed() { return listed; },
    get frames() { return meter.frames; },
    get fps() { return meter.fps; },
    get latency() { return latency.now; },
    get connection() { return current?.call?.connection ?? null; },
    get recording() { return current?.recording ?? ''; },
    get awake() { return wakeLock.lock !== null; },
  }),
});
