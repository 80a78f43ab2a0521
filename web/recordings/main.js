// @ts-check
/** Wires the recordings page: the list, or the recording whose id is in the address. */

import { find, made } from '../shared/dom.js';
import { bytes, clock, dayOf, timeOf } from '../shared/format.js';
import { coded, fillIn, words } from '../shared/i18n.js';
import { joinOnce } from '../shared/join.js';
import { Shortcuts } from '../shared/shortcuts.js';
import { UserError } from '../shared/user-error.js';
import { RecordingDetail } from './detail.js';
import { RecordingList } from './list.js';
import { recording, recordings, remove, restore } from './recordings-api.js';

/** @typedef {import('./recordings-api.js').Recording} Recording */

/**
 *   joining -> outside | list | empty <-> detail
 *
 * @typedef {'joining' | 'outside' | 'list' | 'empty' | 'detail'} State
 */

/** A recording that starts or ends appears within this time. */
const LOOK_MS = 4000;

fillIn();
const title = find('title', HTMLElement);

/** @type {State} */
let state = 'joining';
/** @type {Recording[]} */
let all = [];
/** Counts the requests, so that a late answer to an older one is ignored. */
let request = 0;
/** Whether the server did not answer the last request. */
let lost = false;

const detail = new RecordingDetail(complain);
const list = new RecordingList(find('list', HTMLElement), { remove: setAside, restore: restoreParts });
const shortcuts = new Shortcuts({
  ' ': () => detail.toggle(),
  k: () => detail.toggle(),
  ',': () => detail.step(-1),
  '.': () => detail.step(1),
  ArrowLeft: () => detail.move(-1),
  ArrowRight: () => detail.move(1),
  Escape: () => { if (state === 'detail') location.hash = ''; },
});
const keysOn = find('keys-on', HTMLInputElement);
keysOn.checked = shortcuts.on;
keysOn.addEventListener('change', () => shortcuts.switch(keysOn.checked));
find('remove', HTMLButtonElement).addEventListener('click', () => { if (detail.recording) void setAside(partsOf(detail.recording)); });
window.addEventListener('hashchange', () => void go());
window.addEventListener('pagehide', () => detail.close());
window.addEventListener('pageshow', ({ persisted }) => { if (persisted) void go(); });
setInterval(() => { if (!document.hidden) void look(); }, LOOK_MS);
void enter();

async function enter() {
  try {
    const { role, says } = await joinOnce();
    if (role !== 'host' && role !== 'phone') {
      become('outside');
      return complain(role ? words.recordings.onlyHost : says);
    }
    document.body.dataset.role = role;
    find('own-device', HTMLElement).hidden = role !== 'phone';
    state = 'joining';
    await go();
  } catch (reason) {
    become('outside');
    complain(UserError.of(reason).message);
    setTimeout(() => void enter(), LOOK_MS);
  }
}

/** Shows what the address names. */
async function go() {
  if (state === 'outside') return;
  const mine = ++request;
  const id = decodeURIComponent(location.hash.slice(1));
  const from = detail.recording;
  complain('');
  try {
    all = await recordings();
    lose(false);
    if (mine !== request) return;
    if (!id) {
      detail.close();
      showList();
      if (from) list.focus(from.session);
      return;
    }
    const one = all.find((each) => each.id === id) ?? await recording(id);
    if (mine === request) show(one);
  } catch (reason) {
    if (mine !== request) return;
    lose(reason instanceof UserError && reason.passes);
    detail.close();
    showList();
    complain(reason instanceof UserError && reason.status === 404 ? words.recordings.gone : UserError.of(reason).message);
  }
}

/** Polls for changes: a running recording grows and ends. */
async function look() {
  const mine = request;
  if (state !== 'list' && state !== 'empty' && !(state === 'detail' && detail.recording?.live)) return;
  try {
    const found = await recordings();
    if (mine !== request) return;
    if (lost) complain('');
    lose(false);
    all = found;
    if (state !== 'detail') return showList();
    const one = all.find(({ id }) => id === detail.recording?.id);
    if (one && !one.live) show(one);
  } catch (reason) {
    lose(true);
    const again = reason instanceof UserError && reason.passes;
    complain(again ? words.wall.serverGone : UserError.of(reason).message);
  }
}

/** Without the server it is unknown whether anything is live. @param {boolean} now */
function lose(now) {
  if (now === lost) return;
  lost = now;
  document.body.dataset.server = now ? 'gone' : 'here';
  if (state === 'detail' && detail.recording) showFacts(detail.recording);
}

/** @param {Recording} one */
function showFacts(one) {
  const length = one.live ? (lost ? '' : words.recordings.live) : clock(one.seconds);
  find('facts', HTMLElement).textContent = [
    one.film && `${dayOf(one.began)}, ${timeOf(one.began)}`, length, one.model, bytes(one.bytes), one.live ? '' : whyEarly(one),
  ].filter(Boolean).join(' · ');
}

/** Why it ended before its session did, or an empty text. @param {Recording} one */
function whyEarly({ state: how, code, reason }) {
  const { ended } = words.recordings;
  if (how === 'cut off') return ended['cut-off'];
  return coded(ended, code, reason && words.common.problems.serverSays(reason));
}

/** @param {Recording} one */
function partsOf(one) {
  return all.filter(({ session }) => session === one.session);
}

function showList() {
  list.show(all);
  become(all.length || list.aside.size ? 'list' : 'empty');
  title.textContent = words.recordings.title;
  document.title = `${words.recordings.title} · whycam`;
}

/** @param {Recording} one */
function show(one) {
  const moved = state !== 'detail';
  become('detail');
  detail.open(one);
  title.textContent = one.film ?? `${dayOf(one.began)}, ${timeOf(one.began)}`;
  document.title = `${one.film ?? timeOf(one.began)} · ${words.recordings.title} · whycam`;
  showFacts(one);
  find('remove', HTMLElement).hidden = one.live !== null;
  const parts = partsOf(one).reverse();
  const nav = find('parts', HTMLElement);
  nav.hidden = parts.length < 2;
  nav.replaceChildren(...parts.map((part, i) => {
    const link = made('a', '', words.recordings.part(i + 1, timeOf(part.began), clock(part.seconds)));
    link.href = `#${part.id}`;
    if (part.id === one.id) link.setAttribute('aria-current', 'page');
    return link;
  }));
  if (moved) title.focus({ preventScroll: true });
}

/** @param {Recording[]} parts */
async function setAside(parts) {
  const { session } = parts[0];
  complain('');
  try {
    for (const { id } of parts) await remove(id);
    list.aside.set(session, parts);
    if (state === 'detail') location.hash = '';
    await go();
    list.focus(session);
  } catch (reason) {
    complain(UserError.of(reason).message);
  }
}

/** @param {Recording[]} parts */
async function restoreParts(parts) {
  const { session } = parts[0];
  let problem = '';
  try {
    for (const { id } of parts) await restore(id);
  } catch (reason) {
    problem = reason instanceof UserError && reason.status === 404 ? words.recordings.tooLate : UserError.of(reason).message;
  }
  list.aside.delete(session);
  await go();
  list.focus(session);
  if (problem) complain(problem);
}

/** @param {State} next */
function become(next) {
  state = next;
  document.body.dataset.state = next;
  for (const [id, states] of /** @type {[string, State[]][]} */ ([
    ['list', ['list']], ['empty', ['empty']], ['detail', ['detail']],
  ])) find(id, HTMLElement).hidden = !states.includes(next);
}

/** @param {string} sentence */
function complain(sentence) {
  const error = find('error', HTMLElement);
  if (error.textContent !== sentence) error.textContent = sentence;
  error.hidden = !sentence;
}

/** For the tests. */
Object.defineProperty(window, 'whycam', {
  value: Object.freeze({
    get state() { return state; },
    get recording() { return detail.recording; },
    get player() { return detail.player; },
    get sidecar() { return detail.sidecar; },
    get drawn() { return detail.heat.drawn; },
  }),
});
