// @ts-check
/** The list of recordings: a card per session, newest first. The parts of a session that reconnected share a card. */

import { made } from '../shared/dom.js';
import { bytes, clock, dayOf, timeOf } from '../shared/format.js';
import { percent, words } from '../shared/i18n.js';
import { pictureOf } from './recordings-api.js';

/** @typedef {import('./recordings-api.js').Recording} Recording */

const PICTURES = 4;
const LABELS = 3;

export class RecordingList {
  /**
   * @param {HTMLElement} element
   * @param {{remove: (parts: Recording[]) => void, restore: (parts: Recording[]) => void}} listener
   */
  constructor(element, listener) {
    this.element = element;
    this.listener = listener;
    /** By session: the deleted recordings that can be restored. @type {Map<string, Recording[]>} */
    this.aside = new Map();
    /** By session: the card that is shown, and its content. @type {Map<string, {text: string, card: HTMLElement}>} */
    this.cards = new Map();
  }

  /** @param {Recording[]} recordings newest first */
  show(recordings) {
    const here = new Set(recordings.map(({ id }) => id));
    const aside = [...this.aside.values()].flat().filter(({ id }) => !here.has(id));
    const all = [...recordings, ...aside].sort((a, b) => b.began.localeCompare(a.began));
    const focused = document.activeElement?.closest('.card')?.getAttribute('data-session');
    /** @type {Map<string, Map<string, Recording[]>>} */
    const days = new Map();
    for (const one of all) {
      const day = dayOf(one.began);
      const sessions = days.get(day) ?? new Map();
      days.set(day, sessions.set(one.session, [...(sessions.get(one.session) ?? []), one]));
    }
    this.element.replaceChildren(...[...days].map(([day, sessions]) => {
      const section = made('section', 'day');
      const cards = made('ul', 'cards');
      cards.append(...[...sessions.values()].map((parts) => this.#kept(parts)));
      section.append(made('h2', '', day), cards);
      return section;
    }));
    if (focused && !document.activeElement?.closest('.card')) this.focus(focused);
  }

  /** Focuses a session's card. @param {string} session */
  focus(session) {
    /** @type {HTMLElement | null} */ (
      this.element.querySelector(`.card[data-session="${CSS.escape(session)}"] :is(.open, .undo)`)
    )?.focus();
  }

  /** Reuses an unchanged card, so that its images do not flicker. @param {Recording[]} parts newest first */
  #kept(parts) {
    const { session } = parts[0];
    const gone = this.aside.has(session);
    const text = JSON.stringify([gone, parts]);
    const former = this.cards.get(session);
    if (former?.text === text) return former.card;
    const card = gone ? this.#gone(parts) : this.#card(parts);
    this.cards.set(session, { text, card });
    return card;
  }

  /** @param {Recording[]} parts newest first */
  #card(parts) {
    const card = this.#item(parts);
    const live = parts.find((part) => part.live) ?? null;
    const first = parts[parts.length - 1];
    const pictures = [...parts].reverse().flatMap(({ id, pictures: times }) => times.map((time) => pictureOf(id, time)));
    const labels = mostly(parts);

    const open = made('a', 'open');
    open.href = `#${(live ?? parts[0]).id}`;
    const strip = made('span', 'strip');
    for (const source of pictures.slice(0, PICTURES)) {
      const picture = made('img', '');
      picture.src = source;
      picture.alt = '';
      picture.loading = 'lazy';
      // A film that is still being written may not have this image yet.
      picture.addEventListener('error', () => { picture.remove(); strip.dataset.count = String(strip.childElementCount); });
      strip.append(picture);
    }
    strip.dataset.count = String(strip.childElementCount);
    open.append(strip, made('span', 'when', timeOf(first.began)), first.film ? made('span', 'film', first.film) : '');
    const length = made('span', 'length', clock(parts.reduce((sum, part) => sum + part.seconds, 0)));
    const facts = [
      live ? made('span', 'live', words.recordings.live) : length,
      parts.length > 1 ? made('span', 'parts', words.recordings.parts(parts.length)) : '',
      live ? '' : early(parts),
    ];
    const line = made('span', 'facts');
    line.append(...facts);
    open.append(line);

    const list = made('ul', 'shares');
    list.setAttribute('aria-label', words.recordings.mostly);
    list.append(...labels.slice(0, LABELS).map(({ label, share }) => {
      const item = made('li', '');
      item.append(made('span', 'name', label), made('span', 'share', percent(share)));
      item.style.setProperty('--share', share.toFixed(3));
      return item;
    }));
    const about = made('p', 'about', [first.model, bytes(parts.reduce((sum, part) => sum + part.bytes, 0))].filter(Boolean).join(' · '));
    const remove = made('button', 'remove', words.recordings.remove);
    remove.type = 'button';
    remove.setAttribute('aria-label', words.recordings.removeOne(timeOf(first.began)));
    remove.hidden = Boolean(live);
    remove.addEventListener('click', () => this.listener.remove(parts));
    const foot = made('div', 'foot');
    foot.append(about, remove);
    card.append(open, list, foot);
    return card;
  }

  /** @param {Recording[]} parts that were deleted and can be restored */
  #gone(parts) {
    const card = this.#item(parts);
    card.classList.add('gone');
    const undo = made('button', 'button quiet undo', words.recordings.undo);
    undo.type = 'button';
    undo.addEventListener('click', () => this.listener.restore(parts));
    card.append(made('p', '', words.recordings.removed(timeOf(parts[parts.length - 1].began))), undo);
    return card;
  }

  /** @param {Recording[]} parts */
  #item(parts) {
    const item = made('li', 'card');
    item.dataset.session = parts[0].session;
    return item;
  }
}

/** A note that not all of a session was recorded, or an empty text. @param {Recording[]} parts */
function early(parts) {
  if (parts.some(({ state }) => state === 'cut off')) return made('span', 'cut', words.recordings.cutOff);
  return parts.some(({ reason }) => reason) ? made('span', 'cut', words.recordings.early) : '';
}

/**
 * The labels of all parts, sorted by how long each was the best.
 *
 * @param {Recording[]} parts
 */
function mostly(parts) {
  const whole = parts.reduce((sum, { seconds }) => sum + seconds, 0) || 1;
  /** @type {Map<string, number>} */
  const shares = new Map();
  for (const { labels, seconds } of parts) {
    for (const { label, share } of labels) shares.set(label, (shares.get(label) ?? 0) + (share * (parts.length > 1 ? seconds / whole : 1)));
  }
  return [...shares].map(([label, share]) => ({ label, share })).sort((a, b) => b.share - a.share);
}
