// @ts-check
/** Films that are explained frame by frame: dropped on the page or chosen, sent one after the other, and listed. */

import { find } from '../../shared/dom.js';
import { bytes } from '../../shared/format.js';
import { words } from '../../shared/i18n.js';
import { UserError } from '../../shared/user-error.js';
import { FilmCard } from './film-card.js';
import { cancel, films, upload } from './films-api.js';

/** @typedef {import('./film-card.js').Shown} Shown */

const LOOK_MS = 1000;

/** A file of this page that the server has not completely. */
class Own {
  /** @param {File} file @param {'offered' | 'queued' | 'failed'} state @param {string} problem */
  constructor(file, state, problem = '') {
    this.file = file;
    this.abort = new AbortController();
    /** @type {Shown} */
    this.shown = {
      id: `own-${++Own.count}`, name: file.name, bytes: file.size, state, received: 0, frames: 0, expected: 0,
      recording: null, problem, code: null,
    };
  }

  static count = 0;
}

export class Films {
  /** @param {(sentence: string, good?: boolean) => void} complain */
  constructor(complain) {
    this.complain = complain;
    this.section = find('films', HTMLElement);
    this.list = find('film-list', HTMLElement);
    this.said = find('film-said', HTMLElement);
    this.possible = false;
    this.most = 0;
    /** @type {Own[]} */
    this.own = [];
    /** What the server lists. @type {Shown[]} */
    this.there = [];
    /** By id. @type {Map<string, FilmCard>} */
    this.cards = new Map();
    /** By id: the last state that was announced. @type {Map<string, Shown['state']>} */
    this.states = new Map();
    this.sending = false;
    const input = find('film-file', HTMLInputElement);
    input.addEventListener('change', () => {
      this.add([...(input.files ?? [])]);
      input.value = ''; // so that choosing the same file again is a change
    });
    this.#takeDrops();
    window.addEventListener('beforeunload', (event) => { if (this.sending) event.preventDefault(); });
    setInterval(() => { if (this.#isOpen()) void this.look(); }, LOOK_MS);
  }

  /** Asks the server whether this device may send films, and for those that it has. */
  async load() {
    await this.look();
    find('choose-film', HTMLElement).hidden = find('film-how', HTMLElement).hidden = !this.possible;
  }

  /** @param {File[]} files */
  add(files) {
    for (const file of files) {
      const tooLarge = file.size > this.most;
      this.own.push(new Own(file, tooLarge ? 'failed' : 'queued', tooLarge ? words.phone.films.tooLarge(bytes(this.most)) : ''));
    }
    this.#show();
    if (files.length) this.section.scrollIntoView({ block: 'nearest' });
    void this.#send();
  }

  /** Offers a file that the browser cannot play. @param {File} file */
  offer(file) {
    if (!this.possible) return;
    this.own.push(new Own(file, 'offered'));
    this.#show();
    this.section.scrollIntoView({ block: 'nearest' });
  }

  async look() {
    try {
      const found = await films();
      this.possible = found.possible;
      this.most = found.max_bytes;
      this.there = found.films;
    } catch (error) {
      console.info(UserError.of(error).message); // asked again in a second
    }
    this.#show();
  }

  #isOpen() {
    return this.there.some(({ state }) => state !== 'done' && state !== 'failed');
  }

  async #send() {
    if (this.sending) return;
    for (;;) {
      const own = this.own.find(({ shown }) => shown.state === 'queued');
      if (!own) return;
      this.sending = true;
      own.shown.state = 'uploading';
      this.#show();
      try {
        const film = await upload(own.file, (sent) => { own.shown.received = sent; this.#show(); }, own.abort.signal);
        this.#forget(own);
        this.there.push(film);
      } catch (error) {
        if (/** @type {Error} */ (error).name === 'AbortError') this.#forget(own);
        else Object.assign(own.shown, { state: 'failed', problem: UserError.of(error).message });
      }
      this.sending = false;
      await this.look();
    }
  }

  /** @param {Own} own */
  #forget(own) {
    this.own = this.own.filter((each) => each !== own);
  }

  /** @param {string} id */
  async #cancel(id) {
    const own = this.own.find(({ shown }) => shown.id === id);
    if (own) {
      own.abort.abort();
      this.#forget(own);
      return this.#show();
    }
    try {
      await cancel(id);
    } catch (error) {
      const problem = UserError.of(error);
      if (problem.status !== 404) this.complain(problem.message);
    }
    await this.look();
  }

  /** @param {string} id */
  #accept(id) {
    const own = this.own.find(({ shown }) => shown.id === id);
    if (!own) return;
    this.#forget(own);
    this.complain('');
    this.add([own.file]);
  }

  #show() {
    // While a file is sent, the server lists it, too.
    const shown = [...this.there.filter(({ state, name }) => state !== 'uploading' || !this.#isSent(name)), ...this.own.map((own) => own.shown)];
    const ids = new Set(shown.map(({ id }) => id));
    for (const [id, card] of this.cards) {
      if (ids.has(id)) continue;
      card.item.remove();
      this.cards.delete(id);
    }
    for (const film of shown) {
      let card = this.cards.get(film.id);
      if (!card) {
        card = new FilmCard({ cancel: () => void this.#cancel(film.id), accept: () => this.#accept(film.id) });
        this.cards.set(film.id, card);
        this.list.append(card.item);
      }
      card.show(film);
      this.#announce(film, card);
    }
    this.section.hidden = !shown.length;
  }

  /** @param {string} name */
  #isSent(name) {
    return this.own.some(({ shown }) => shown.state === 'uploading' && shown.name === name);
  }

  /** For screen readers: the end of a film, not each percent. @param {Shown} film @param {FilmCard} card */
  #announce(film, card) {
    const former = this.states.get(film.id);
    this.states.set(film.id, film.state);
    if (former && former !== film.state && (film.state === 'done' || film.state === 'failed')) {
      this.said.textContent = `${film.name}: ${card.status.textContent}`;
    }
  }

  #takeDrops() {
    /** @param {DragEvent} event */
    const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes('Files') ?? false;
    let inside = 0; // a drag enters and leaves each element on its way
    window.addEventListener('dragenter', (event) => { if (hasFiles(event)) this.#drag(++inside); });
    window.addEventListener('dragleave', (event) => { if (hasFiles(event)) this.#drag(--inside); });
    // Without this the browser would leave the page, and a call with it, and open the file.
    window.addEventListener('dragover', (event) => { if (hasFiles(event)) event.preventDefault(); });
    window.addEventListener('drop', (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      this.#drag((inside = 0));
      const files = [...(event.dataTransfer?.files ?? [])];
      if (!this.possible || !files.length) return;
      this.add(files);
      if (document.body.dataset.pictured === 'true') this.complain(words.phone.films.taken(files[0].name), true);
    });
  }

  /** @param {number} inside */
  #drag(inside) {
    document.body.dataset.dropping = String(this.possible && inside > 0);
  }
}
