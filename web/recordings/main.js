// @ts-check
/** Wires the page of recordings: the shelf, or the one whose id is in the address. */

import { find, made } from '../shared/dom.js';
import { bytes, clock, dayOf, timeOf } from '../shared/format.js';
import { coded, fillIn, words } from '../shared/i18n.js';
import { joinOnce } from '../shared/join.js';
import { Keys } from '../shared/shortcuts.js';
import { Problem } from '../shared/user-error.js';
import { Screening } from './detail.js';
import { Shelf } from './list.js';
import { recording, recordings, remove, restore } from './recordings-api.js';

/** @typedef {import('./recordings-api.js').Recording} Recording */

/**
 *   joining -> outside | shelf | empty <-> screening
 *
 * @typedef {'joining' | 'outside' | 'shelf' | 'empty' | 'screening'} State
 */

/** A recording that begins, or ends, is seen within this. */
const LOOK_MS = 4000;

fillIn();
const title = find('title', HTMLElement);

/** @type {State} */
let state = 'joining';
/** @type {Recording[]} */
let all = [];
/** Counts what was asked for, so that a late answer to an older wish is left alone. */
let wish = 0;
/** The server did not answer the last time. */
let lost = false;

const screening = new Screening(complain);
const shelf = new Shelf(find('shelf', HTMLElement), { remove: setAside, restore: haveBack });
const keys = new Keys({
  ' ': () => screening.toggle(),
  k: () => screening.toggle(),
  ',': () => screening.step(-1),
  '.': () => screening.step(1),
  ArrowLeft: () => screening.move(-1),
  ArrowRight: () => screening.move(1),
  Escape: () => { if (state === 'screening') location.hash = ''; },
});
const keysOn = find('keys-on', HTMLInputElement);
keysOn.checked = keys.on;
keysOn.addEventListener('change', () => keys.switch(keysOn.checked));
find('remove', HTMLButtonElement).addEventListener('click', () => { if (screening.recording) void setAside(partsOf(screening.recording)); });
window.addEventListener('hashchange', () => void go());
window.addEventListener('pagehide', () => screening.close());
window.addEventListener('pageshow', ({ persisted }) => { if (persisted) void go(); });
setInterval(() => { if (!document.hidden) void look(); }, LOOK_MS);
void enter();

async function enter() {
  try {
    const { role, says } = await joinOnce();
    if (role !== 'host') {
      become('outside');
      return complain(role ? words.shelf.onlyHost : says);
    }
    state = 'joining';
    await go();
  } catch (reason) {
    become('outside');
    complain(Problem.of(reason).message);
    setTimeout(() => void enter(), LOOK_MS);
  }
}

/** To what the address names. */
async function go() {
  if (state === 'outside') return;
  const mine = ++wish;
  const id = decodeURIComponent(location.hash.slice(1));
  const from = screening.recording;
  complain('');
  try {
    all = await recordings();
    lose(false);
    if (mine !== wish) return;
    if (!id) {
      screening.close();
      showShelf();
      if (from) shelf.focus(from.session);
      return;
    }
    const one = all.find((each) => each.id === id) ?? await recording(id);
    if (mine === wish) show(one);
  } catch (reason) {
    if (mine !== wish) return;
    lose(reason instanceof Problem && reason.passes);
    screening.close();
    showShelf();
    complain(reason instanceof Problem && reason.status === 404 ? words.shelf.gone : Problem.of(reason).message);
  }
}

/** Looks what has changed: a recording that runs grows, and ends. */
async function look() {
  const mine = wish;
  if (state !== 'shelf' && state !== 'empty' && !(state === 'screening' && screening.recording?.live)) return;
  try {
    const found = await recordings();
    if (mine !== wish) return;
    if (lost) complain('');
    lose(false);
    all = found;
    if (state !== 'screening') return showShelf();
    const one = all.find(({ id }) => id === screening.recording?.id);
    if (one && !one.live) show(one);
  } catch (reason) {
    lose(true);
    const again = reason instanceof Problem && reason.passes;
    complain(again ? words.wall.serverGone : Problem.of(reason).message);
  }
}

/** Whether anything is live is not known while the server does not answer. @param {boolean} now */
function lose(now) {
  if (now === lost) return;
  lost = now;
  document.body.dataset.server = now ? 'gone' : 'here';
  if (state === 'screening' && screening.recording) tellFacts(screening.recording);
}

/** @param {Recording} one */
function tellFacts(one) {
  const length = one.live ? (lost ? '' : words.shelf.live) : clock(one.seconds);
  find('facts', HTMLElement).textContent = [
    length, one.model, bytes(one.bytes), one.live ? '' : whyEarly(one),
  ].filter(Boolean).join(' · ');
}

/** Why it ended before its session did, if it did. @param {Recording} one */
function whyEarly({ state: how, code, reason }) {
  const { ended } = words.shelf;
  if (how === 'cut off') return ended['cut-off'];
  return coded(ended, code, reason && words.common.problems.serverSays(reason));
}

/** @param {Recording} one */
function partsOf(one) {
  return all.filter(({ session }) => session === one.session);
}

function showShelf() {
  shelf.show(all);
  become(all.length || shelf.aside.size ? 'shelf' : 'empty');
  title.textContent = words.shelf.title;
  document.title = `${words.shelf.title} · whycam`;
}

/** @param {Recording} one */
function show(one) {
  const moved = state !== 'screening';
  become('screening');
  screening.open(one);
  title.textContent = `${dayOf(one.began)}, ${timeOf(one.began)}`;
  document.title = `${timeOf(one.began)} · ${words.shelf.title} · whycam`;
  tellFacts(one);
  find('remove', HTMLElement).hidden = one.live !== null;
  const parts = partsOf(one).reverse();
  const nav = find('parts', HTMLElement);
  nav.hidden = parts.length < 2;
  nav.replaceChildren(...parts.map((part, i) => {
    const link = made('a', '', words.shelf.part(i + 1, timeOf(part.began), clock(part.seconds)));
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
    shelf.aside.set(session, parts);
    if (state === 'screening') location.hash = '';
    await go();
    shelf.focus(session);
  } catch (reason) {
    complain(Problem.of(reason).message);
  }
}

/** @param {Recording[]} parts */
async function haveBack(parts) {
  const { session } = parts[0];
  let problem = '';
  try {
    for (const { id } of parts) await restore(id);
  } catch (reason) {
    problem = reason instanceof Problem && reason.status === 404 ? words.shelf.tooLate : Problem.of(reason).message;
  }
  shelf.aside.delete(session);
  await go();
  shelf.focus(session);
  if (problem) complain(problem);
}

/** @param {State} next */
function become(next) {
  state = next;
  document.body.dataset.state = next;
  for (const [id, states] of /** @type {[string, State[]][]} */ ([
    ['shelf', ['shelf']], ['empty', ['empty']], ['screening', ['screening']],
  ])) find(id, HTMLElement).hidden = !states.includes(next);
}

/** @param {string} sentence */
function complain(sentence) {
  const error = find('error', HTMLElement);
  if (error.textContent !== sentence) error.textContent = sentence;
  error.hidden = !sentence;
}

/** What the tests look at. */
Object.defineProperty(window, 'whycam', {
  value: Object.freeze({
    get state() { return state; },
    get recording() { return screening.recording; },
    get player() { return screening.player; },
    get sidecar() { return screening.sidecar; },
    get drawn() { return screening.heat.drawn; },
  }),
});
