// @ts-check
/** One film in the list: its name, how far it is, and what can be done with it. */

import { made } from '../../shared/dom.js';
import { coded, percent, words } from '../../shared/i18n.js';

/** @typedef {import('./films-api.js').Film} Film */
/**
 * What the card shows: an entry of the server's list, or a file that has not arrived there.
 *
 * @typedef {Omit<Film, 'state'> & {state: Film['state'] | 'queued' | 'offered'}} Shown
 */

/** A rate that was measured for less is a guess. */
const MEASURED_MS = 4000;

export class FilmCard {
  /** @param {{cancel: () => void, accept: () => void}} listener */
  constructor(listener) {
    this.item = made('li', 'film-card');
    this.name = made('p', 'film-name');
    this.status = made('p', 'film-status');
    this.bar = made('progress', '');
    this.links = made('p', 'film-links');
    this.explain = made('button', 'button quiet', words.phone.films.explain);
    this.explain.type = 'button';
    this.explain.addEventListener('click', () => listener.accept());
    this.close = made('button', 'round');
    this.close.type = 'button';
    this.close.append(made('span', 'cross'));
    this.close.addEventListener('click', () => listener.cancel());
    this.item.append(this.name, this.close, this.status, this.bar, this.links, this.explain);
    /** The first progress that was seen. @type {{at: number, frames: number} | null} */
    this.first = null;
    this.recording = '';
  }

  /** @param {Shown} film */
  show(film) {
    const { films } = words.phone;
    this.item.dataset.state = film.state;
    set(this.name, film.name);
    set(this.status, this.#says(film));
    this.#progress(film);
    this.explain.hidden = film.state !== 'offered';
    const over = film.state === 'done' || film.state === 'failed' || film.state === 'offered';
    this.close.setAttribute('aria-label', over ? films.dismiss(film.name) : films.cancel(film.name));
    if (film.recording && film.recording !== this.recording) this.#link(film.recording);
    this.links.hidden = !film.recording;
  }

  /** @param {Shown} film */
  #progress({ state, name, received, bytes, frames, expected }) {
    const sending = state === 'uploading';
    this.bar.hidden = !(sending || state === 'explaining' || state === 'waiting');
    this.bar.setAttribute('aria-label', name);
    const part = sending ? received / Math.max(1, bytes) : frames / Math.max(1, expected);
    if (state === 'waiting' || (state === 'explaining' && !expected)) this.bar.removeAttribute('value');
    else this.bar.value = Math.min(1, part);
  }

  /** @param {Shown} film */
  #says(film) {
    const { films } = words.phone;
    switch (film.state) {
      case 'offered': return films.offered;
      case 'queued': return films.queued;
      case 'uploading': return films.uploading(percent(film.received / Math.max(1, film.bytes)));
      case 'waiting': return films.waiting;
      case 'explaining': return this.#explaining(film);
      case 'done': return films.done(film.frames);
      default: return coded(films.failed, film.code, film.problem && words.common.problems.serverSays(film.problem));
    }
  }

  /** @param {Shown} film */
  #explaining({ frames, expected }) {
    const { films } = words.phone;
    if (!frames || !expected) return films.begins;
    if (frames >= expected) return films.report;
    const now = performance.now();
    this.first ??= { at: now, frames };
    const took = now - this.first.at;
    const left = took < MEASURED_MS ? 0 : ((expected - frames) * took) / Math.max(1, frames - this.first.frames) / 1000;
    return films.explaining(percent(frames / expected), left);
  }

  /** @param {string} recording */
  #link(recording) {
    this.recording = recording;
    const id = encodeURIComponent(recording);
    const { films } = words.phone;
    const watch = link(films.watch, `/recordings#${id}`);
    const report = link(films.toReport, `/api/recordings/${id}/files/report.html`);
    report.target = '_blank';
    const film = link(films.download, `/api/recordings/${id}/files/explained-000.mp4?download=1`);
    film.download = '';
    this.links.replaceChildren(watch, report, film);
  }
}

/** @param {string} text @param {string} href */
function link(text, href) {
  const anchor = made('a', '', text);
  anchor.href = href;
  return anchor;
}

/** @param {HTMLElement} element @param {string} text */
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
