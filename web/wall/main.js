// @ts-check
/** Wires the projector's page: joining, the live sessions, and the keys. */

import { find } from '../shared/dom.js';
import { fillIn, words, write } from '../shared/i18n.js';
import { invitation, joinOnce } from '../shared/join.js';
import { nameOfChosen } from '../shared/model/map-names.js';
import { teaching } from '../shared/model/teaching-api.js';
import { toggled } from '../shared/protocol.js';
import { Shortcuts } from '../shared/shortcuts.js';
import { UserError } from '../shared/user-error.js';
import { ScreenWakeLock } from '../shared/wake-lock.js';
import { showWarningSteps } from '../shared/warning-steps.js';
import { hideWhenIdle } from './hide-when-idle.js';
import { ModelDialog } from './model-dialog.js';
import { command, sessions } from './sessions-api.js';
import { Wall } from './wall.js';

/** @typedef {import('../shared/protocol.js').Command} Command */
/** @typedef {import('./tile.js').Tile} Tile */

/**
 *   joining -> outside | empty <-> live
 *
 * @typedef {'joining' | 'outside' | 'empty' | 'live'} State
 */

/** A new session appears within this time and a handshake. */
const LOOK_MS = 1500;
/** A session that ends is often followed by the next one of the same phone. */
const EMPTY_AFTER_MS = 2500;
const NOTE_MS = 5000;

fillIn();
document.title = words.wall.title;
const help = find('help', HTMLDialogElement);

/** @type {State} */
let state = 'joining';
let host = false;
/** Whether there is a code to scan. */
/** The invitation that is shown, as text. */
let invited = '';
let code = false;
/** The last report of a model and its map. @type {import('../shared/protocol.js').Report | null} */
let newest = null;
let lastLive = -Infinity;
/** @type {number | undefined} */
let noteTimer;

const wakeLock = new ScreenWakeLock();
const wall = new Wall(find('wall', HTMLElement), (tile, classNumber) => pin(tile, classNumber), () => {
  note('');
  showControls();
});
const models = new ModelDialog(note);
hideWhenIdle(document.body);

/** What each key and its button do, in the order of the help. @type {[string, string, () => void][]} */
const actions = [
  ['s', 'side', () => wall.pair(!wall.sideBySide)],
  ['f', 'freeze', () => change(({ report }) => ({ freeze: !report?.frozen }))],
  ['e', 'hide', () => change(({ report }) => ({ hide: !report?.view.hide }))],
  ['d', 'difference', () => compare()],
  ['q', 'qr', () => showCode(document.body.dataset.code !== 'shown')],
  ['m', 'model', () => chooseModel()],
  ['w', 'full', () => void fullScreen()],
  ['h', 'keys', () => toggleHelp()],
];
for (const [, id, action] of actions) find(id, HTMLButtonElement).addEventListener('click', action);
find('all', HTMLButtonElement).addEventListener('click', () => wall.enlarge(''));

const shortcuts = new Shortcuts({
  ...Object.fromEntries(actions.map(([key, , action]) => [key, () => { if (key === opened() || !opened()) action(); }])),
  ...Object.fromEntries([1, 2, 3, 4, 5].map((place) => [String(place), () => pinPlace(place - 1)])),
  0: () => change(() => ({ hold: [] })),
  '?': () => toggleHelp(),
  Escape: () => { if (help.open) help.close(); else if (models.open) models.close(); else wall.enlarge(''); },
  ArrowRight: () => wall.turn(1),
  ArrowLeft: () => wall.turn(-1),
});
const keysOn = find('keys-on', HTMLInputElement);
keysOn.checked = shortcuts.on;
keysOn.addEventListener('change', () => shortcuts.switch(keysOn.checked));

window.addEventListener('hashchange', () => { if (state === 'outside') void enter(); else wall.enlarge(location.hash.slice(1)); });
window.addEventListener('pagehide', () => wall.update([]));
fillHelp();
void enter();

/** Fetches this device's role. Without a role the address holds a code, otherwise a session's id. */
async function enter() {
  try {
    const { role, says } = await joinOnce();
    if (!role) return refuse(says);
    if (role === 'phone') return refuse(words.wall.phonesSend, true);
    if (!('RTCPeerConnection' in window)) return refuse(words.common.problems.noCalls, role === 'host');
    host = role === 'host';
    wall.wanted = location.hash.slice(1);
    if (host) await Promise.all([showInvitation(), models.load()]);
    else showWaiting();
    complain('');
    void look();
  } catch (reason) {
    refuse(UserError.of(reason).message);
    setTimeout(() => void enter(), LOOK_MS);
  }
}

/** Polls the live sessions. */
async function look() {
  for (;;) {
    try {
      const live = await sessions();
      if (host) await showInvitation();
      document.body.dataset.server = 'here';
      complain('');
      if (live.length) lastLive = performance.now();
      wall.update(live);
      if (live.length) become('live');
      else if (performance.now() - lastLive > EMPTY_AFTER_MS) become('empty');
      if (live.length) wall.teach(await teaching().catch(() => null)); // without it the pictures go on
    } catch (reason) {
      if (reason instanceof UserError && !reason.passes) return refuse(reason.message);
      document.body.dataset.server = 'gone';
      complain(words.wall.serverGone);
    }
    await new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
    if (document.hidden) await new Promise((resolve) => { document.addEventListener('visibilitychange', resolve, { once: true }); });
  }
}

/** @param {Tile} tile @param {number} classNumber */
function pin(tile, classNumber) {
  void send(tile, { hold: toggled(tile.report?.view.hold ?? [], classNumber), model: tile.report?.model });
}

/** @param {number} place */
function pinPlace(place) {
  if (opened()) return;
  const tile = target();
  const classNumber = tile?.classAt(place);
  if (tile && classNumber !== undefined) pin(tile, classNumber);
}

/** @param {(tile: Tile) => Command} commandFor */
function change(commandFor) {
  if (opened()) return;
  const tile = target();
  if (tile) void send(tile, commandFor(tile));
}

/** Draws the two pinned classes of a tile as their difference, or each by itself. */
function compare() {
  if (opened()) return;
  const tile = target();
  const report = tile?.report;
  if (!tile || !report) return;
  if (report.view.difference || tile.canCompare) void send(tile, { difference: !report.view.difference, model: report.model });
  else note(report.view.hold.length === 2 ? words.wall.noDifference : words.wall.pinTwo);
}

/** @returns {Tile | null} the tile that a key applies to; shows a note if that is ambiguous */
function target() {
  if (!wall.tiles.length) return null;
  const tile = wall.target;
  if (!tile) note(words.wall.whichOne);
  return tile;
}

/** @param {Tile} tile @param {Command} wanted */
async function send(tile, wanted) {
  if (!host) return note(words.wall.onlyHost);
  try {
    await command(tile.session.id, wanted);
    tile.labels.hurry();
  } catch (reason) {
    note(UserError.of(reason).message);
  }
}

/** The key of the open dialog, '' for none. */
function opened() {
  return help.open ? 'h' : models.open ? 'm' : '';
}

function chooseModel() {
  if (host) void models.toggle();
  else note(words.wall.onlyHost);
}

/** The host may have chosen another model or map, here or on its camera page. */
function lookForModel() {
  const now = wall.tiles.map((tile) => tile.report).find(Boolean);
  if (!now) return;
  const { model, map } = newest ?? now;
  const other = now.model !== model;
  if (other || now.map.method !== map.method || now.map.layer !== map.layer) {
    note(other ? words.common.modelIs(now.model) : words.common.maps.is(nameOfChosen(now.map, map)));
    if (host) void models.load();
  }
  newest = now;
}

async function fullScreen() {
  try {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await document.documentElement.requestFullscreen();
  } catch {
    note(words.wall.noFullScreen);
  }
}

/** The door for phones is opened and closed on the camera's page. */
async function showInvitation() {
  const found = await invitation();
  const text = JSON.stringify(found);
  if (text === invited) return;
  invited = text;
  const { urls, lan, warns } = found;
  code = urls.length > 0;
  for (const picture of document.querySelectorAll('img.code')) {
    if (code) picture.setAttribute('src', `/api/join.svg?${Date.now()}`); // another network may have another address
    /** @type {HTMLElement} */ (picture).hidden = !code;
  }
  find('empty-headline', HTMLElement).textContent = code ? words.wall.scan : words.wall.nobody;
  write(find('empty-how', HTMLElement), code ? words.wall.scanHow : lan ? words.phone.noNetwork : words.wall.noLan);
  // The token is only in the QR code, so that the address can be shown and read aloud.
  find('empty-address', HTMLElement).textContent = urls.map((url) => url.split('#')[0]).join('  ');
  showWarningSteps(find('warning', HTMLElement), warns && code);
  find('qr', HTMLElement).hidden = !code;
  showCode(code);
}

function showWaiting() {
  find('empty-headline', HTMLElement).textContent = words.wall.nobody;
  find('empty-how', HTMLElement).textContent = words.wall.nobodyHow;
  find('empty', HTMLElement).querySelector('.elsewhere')?.remove();
}

/** @param {boolean} shown the code in the corner */
function showCode(shown) {
  document.body.dataset.code = code ? (shown ? 'shown' : 'away') : 'none';
  showControls();
}

function showControls() {
  const tile = wall.large;
  const report = tile?.report;
  press('side', wall.sideBySide);
  press('freeze', Boolean(report?.frozen));
  press('hide', Boolean(report?.view.hide));
  press('difference', Boolean(report?.view.difference));
  find('difference', HTMLElement).hidden = !(tile?.canCompare || report?.view.difference);
  press('qr', document.body.dataset.code === 'shown');
  find('all', HTMLElement).hidden = !(tile && wall.tiles.length > 1);
  find('corner', HTMLElement).hidden = !(state === 'live' && document.body.dataset.code === 'shown');
  find('model', HTMLElement).hidden = !(host && models.offered);
  for (const id of ['freeze', 'hide', 'difference']) find(id, HTMLElement).setAttribute('aria-disabled', String(!host));
}

/** @param {string} id @param {boolean} on */
function press(id, on) {
  find(id, HTMLElement).setAttribute('aria-pressed', String(on));
}

function toggleHelp() {
  if (help.open) return help.close();
  find('help-viewer', HTMLElement).hidden = host;
  find('help-viewer', HTMLElement).textContent = words.wall.onlyHost;
  for (const row of find('help-keys', HTMLElement).children) {
    if (row.querySelector('kbd')?.textContent === 'm') row.toggleAttribute('hidden', !(host && models.offered));
  }
  help.showModal();
  help.scrollTop = 0; // the focused button is at the end
}

function fillHelp() {
  const list = find('help-keys', HTMLElement);
  for (const [key, text] of words.wall.helpKeys) {
    const row = document.createElement('div');
    const term = document.createElement('dt');
    term.append(...key.split(' ').map((one) => {
      if (one === '…') return ' … ';
      const cap = document.createElement('kbd');
      cap.textContent = one;
      return cap;
    }));
    const meaning = document.createElement('dd');
    meaning.textContent = text;
    row.append(term, meaning);
    list.append(row);
  }
}

/** @param {State} next */
function become(next) {
  state = next;
  document.body.dataset.state = next;
  find('empty', HTMLElement).hidden = next !== 'empty';
  wakeLock.keep(next === 'live' || next === 'empty');
  showControls();
}

/** @param {string} text @param {boolean} camera whether this device has a camera page to go back to */
function refuse(text, camera = false) {
  wall.update([]);
  become('outside');
  complain(text);
  find('back', HTMLElement).hidden = !camera;
}

/** @param {string} text stays until it no longer applies */
function complain(text) {
  const error = find('error', HTMLElement);
  if (error.textContent !== text) error.textContent = text;
  error.hidden = !text;
}

/** @param {string} text shown for a few seconds */
function note(text) {
  const place = find('note', HTMLElement);
  place.textContent = text;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => { place.textContent = ''; }, NOTE_MS);
}

// Reports arrive with each frame; four updates a second are enough for the buttons.
setInterval(() => {
  wall.tiles.forEach((tile) => tile.look());
  lookForModel();
  showControls();
}, 250);

/** For the tests. */
Object.defineProperty(window, 'whycam', {
  value: Object.freeze({
    get state() { return state; },
    get tiles() { return wall.tiles.map(({ session, report, listed, explained }) => ({ id: session.id, report, listed, state: explained.state })); },
    get large() { return wall.large?.session.id ?? null; },
  }),
});
