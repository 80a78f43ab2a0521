// @ts-check
/**
 * One recording: its films, the timeline, and the heatmap drawn again over the camera's film.
 *
 * A recording that is still running is watched live instead.
 */

import { COLORMAPS, PINNED } from '../shared/colormaps.js';
import { find, made } from '../shared/dom.js';
import { bytes, clock } from '../shared/format.js';
import { nameOf, setColormap } from '../shared/heat-colours.js';
import { percent, words } from '../shared/i18n.js';
import { toggled } from '../shared/protocol.js';
import { UserError } from '../shared/user-error.js';
import { WhepViewer } from '../shared/whep.js';
import { HeatmapPainter } from './heatmap.js';
import { Player } from './player.js';
import { course, fileOf, zipOf } from './recordings-api.js';
import { DEFAULT_SETTINGS, Sidecar } from './sidecar.js';
import { Timeline } from './timeline.js';

/** @typedef {import('./recordings-api.js').Recording} Recording */
/** @typedef {import('./sidecar.js').Frame} Frame */
/** @typedef {{colormap?: string, opacity?: number, own?: boolean}} Look `own`: full heat is each map's own maximum */

const SIDECAR = 'predictions.jsonl';
const REPORT = 'report.html';
/** Colours of classes (recordings.css). */
const TINTS = 8;
/** Numbers that change faster cannot be read. */
const BETWEEN_MS = 120;
/** A film's time stamps are rounded. */
const EXACT_S = 0.001;

export class RecordingDetail {
  /** @param {(sentence: string) => void} complain */
  constructor(complain) {
    this.complain = complain;
    /** @type {Recording | null} */
    this.recording = null;
    /** @type {Sidecar | null} */
    this.sidecar = null;
    /** @type {WhepViewer[]} */
    this.viewers = [];
    /** The classes whose heat is drawn; empty: those drawn at the time. @type {number[]} */
    this.chosen = [];
    /** What the person set; absent keys: as it was at the time. @type {Look} */
    this.look = {};
    this.counted = 0;
    /** Whether it stands at its first explained frame, or the person has moved on. */
    this.begun = false;
    /** The classes that have the colours of pinned ones, as text; null: all have to be coloured. @type {string | null} */
    this.tinted = null;

    this.camera = find('camera', HTMLVideoElement);
    this.explained = find('explained', HTMLVideoElement);
    this.heat = new HeatmapPainter(find('heat', HTMLCanvasElement));
    this.play = find('play', HTMLButtonElement);
    this.colormap = find('colormap', HTMLSelectElement);
    this.opacity = find('opacity', HTMLInputElement);
    this.classes = find('classes', HTMLElement);
    this.timeline = new Timeline(find('timeline', HTMLElement), (time) => this.player.seek(time));
    this.player = new Player(this.camera, this.explained, {
      moved: () => this.#moved(),
      changed: () => this.#changed(),
      unplayable: (film) => complain(words.recordings.unplayable(film)),
    });

    this.play.addEventListener('click', () => this.toggle());
    find('rate', HTMLSelectElement).addEventListener('change', ({ target }) => (
      this.player.hurry(Number(/** @type {HTMLSelectElement} */ (target).value))
    ));
    this.colormap.append(...COLORMAPS.map((name) => new Option(nameOf(name), name)));
    this.colormap.addEventListener('change', () => this.#set({ colormap: this.colormap.value }));
    this.opacity.addEventListener('input', () => this.#set({ opacity: Number(this.opacity.value) }));
    this.own = find('own', HTMLInputElement);
    this.own.addEventListener('change', () => this.#set({ own: this.own.checked }));
    find('scale', HTMLElement).append(...[1, 0.5, 0].map((score) => made('span', '', percent(score))));
    find('as-then', HTMLButtonElement).addEventListener('click', () => {
      this.look = {};
      this.#choose([]);
    });
  }

  /** @param {Recording} recording */
  open(recording) {
    this.close();
    this.recording = recording;
    const live = recording.live !== null;
    document.body.dataset.live = String(live);
    document.body.dataset.film = String(recording.film !== null);
    find('ask-title', HTMLElement).textContent = recording.film === null ? words.recordings.ask : words.recordings.over;
    find('ask-how', HTMLElement).textContent = recording.film === null ? words.recordings.askHow : words.recordings.overHow;
    this.#files(recording);
    find('live-link', HTMLAnchorElement).href = `/watch#${recording.live ?? ''}`;
    if (live) return this.#watch(/** @type {string} */ (recording.live));
    this.player.open(recording.segments, (name) => fileOf(recording.id, name));
    this.timeline.show({ times: [], classes: [] }, this.player.seconds);
    if (!recording.segments.length) this.complain(words.recordings.noFilm);
    if (recording.files.some(({ name }) => name === SIDECAR)) {
      this.#read(recording);
      void this.#course(recording);
    } else find('heat-says', HTMLElement).textContent = words.recordings.noSidecar;
    this.#moved();
  }

  close() {
    this.recording = null;
    this.player.close();
    this.sidecar?.close();
    this.sidecar = null;
    this.viewers.forEach((viewer) => viewer.close());
    this.viewers = [];
    this.camera.srcObject = this.explained.srcObject = null;
    this.chosen = [];
    this.look = {};
    this.timeline.time = 0;
    this.begun = false;
    this.tinted = null;
    this.classes.replaceChildren();
    find('task', HTMLElement).hidden = true;
    this.heat.clear();
    find('heat-says', HTMLElement).replaceChildren();
    find('heat-says', HTMLElement).dataset.text = '';
  }

  toggle() {
    if (this.player.playing) this.player.pause();
    else this.player.play();
  }

  /** @param {number} seconds */
  move(seconds) {
    this.player.seek(this.player.time + seconds);
  }

  /** Seeks to the next or the previous explained frame. @param {1 | -1} direction */
  step(direction) {
    this.player.pause();
    const { before, after } = this.sidecar?.around(this.player.time) ?? { before: null, after: null };
    const time = direction > 0 ? after : before;
    if (time !== null) this.player.seek(time + EXACT_S);
  }

  /** @param {string} session */
  #watch(session) {
    if (!('RTCPeerConnection' in window)) return this.complain(words.common.problems.noCalls);
    for (const [film, stream] of /** @type {[HTMLVideoElement, 'camera' | 'explained'][]} */ ([
      [this.camera, 'camera'], [this.explained, 'explained'],
    ])) {
      film.autoplay = true;
      const viewer = new WhepViewer(film, session, stream, {
        report: () => {},
        seen: () => this.complain(''),
        over: () => {}, // the list is polled, and the recording is finished then
      });
      this.viewers.push(viewer);
      viewer.open().catch((error) => this.complain(UserError.of(error).message));
    }
  }

  /** @param {Recording} recording */
  async #course(recording) {
    try {
      const found = await course(recording.id);
      if (this.recording !== recording) return;
      this.timeline.show(found, this.player.seconds);
      this.classes.replaceChildren(...found.classes.map(({ class: number, label }) => {
        const button = made('button', 'class');
        button.type = 'button';
        button.dataset.class = String(number);
        button.append(made('span', 'tint'), made('span', 'name', label), made('span', 'tag', words.common.pinned), made('span', 'score'));
        button.addEventListener('click', () => this.#choose(toggled(this.chosen, number)));
        const item = made('li', '');
        item.append(button);
        return item;
      }));
      this.#choose(this.chosen);
    } catch (error) {
      if (this.recording === recording) this.complain(UserError.of(error).message);
    }
  }

  /** @param {Recording} recording */
  #read(recording) {
    this.sidecar = new Sidecar(fileOf(recording.id, SIDECAR), {
      grown: () => {
        this.#begin();
        find('task', HTMLElement).hidden = this.sidecar?.task !== 'multi-label';
        this.#draw();
      },
      failed: (why) => this.complain(words.recordings.sidecarDamaged(why)),
    });
  }

  /** Opens on the first explained frame: before it there is nothing to see yet. */
  #begin() {
    const begins = this.sidecar?.begins ?? null;
    if (this.begun || begins === null) return;
    this.begun = true;
    if (begins > EXACT_S && this.player.time === 0 && !this.player.playing) this.player.seek(begins + EXACT_S);
  }

  /** @param {Look} look */
  #set(look) {
    Object.assign(this.look, look);
    this.#draw();
  }

  /** @param {number[]} chosen two have one colour each, as in live video */
  #choose(chosen) {
    this.chosen = chosen;
    for (const button of this.classes.querySelectorAll('button')) {
      const place = chosen.indexOf(Number(button.dataset.class));
      button.setAttribute('aria-pressed', String(place >= 0));
      button.dataset.pinned = (chosen.length > 1 && ['first', 'second'][place]) || '';
    }
    this.timeline.mark(chosen);
    this.tinted = null;
    this.#draw();
  }

  #changed() {
    const { playing, segment } = this.player;
    this.play.setAttribute('aria-label', playing ? words.recordings.pause : words.recordings.play);
    this.play.dataset.playing = String(playing);
    find('camera-film', HTMLElement).hidden = segment?.camera === null;
    find('explained-film', HTMLElement).hidden = segment?.explained === null;
    find('films', HTMLElement).dataset.upright = String(Boolean(segment && segment.size[1] > segment.size[0]));
  }

  #moved() {
    this.#draw();
    const now = performance.now();
    if (this.player.playing && now - this.counted < BETWEEN_MS) return;
    this.counted = now;
    const { time, seconds } = this.player;
    const frame = this.sidecar?.at(time);
    const best = frame?.maps[0];
    this.timeline.at(time, best ? { label: this.sidecar?.labels.get(best.class) ?? '', score: best.score } : null);
    find('clock', HTMLElement).textContent = `${clock(time)} / ${clock(seconds)}`;
    this.timeline.scores().forEach(({ class: number, score }, i) => {
      // The chart has 600 points; the sidecar has every frame, but only its best classes.
      const known = frame ? frame.maps.find((map) => map.class === number)?.score ?? null : score;
      const text = this.classes.children[i]?.querySelector('.score');
      if (text) text.textContent = known === null ? '–' : percent(known);
    });
  }

  /** Draws the heatmap of the frame on screen. */
  #draw() {
    const { segment } = this.player;
    const frame = this.sidecar?.at(this.player.frameTime) ?? null;
    this.#tint(frame);
    this.#says(frame);
    const look = this.#showLook(frame);
    if (!segment || !frame || !this.sidecar) return this.heat.clear();
    const [width, height] = segment.size;
    this.heat.draw(this.#maps(frame), look, { width, height }, this.sidecar.fit);
  }

  /** The person's settings, completed by those of the time. @param {Frame | null} frame */
  #showLook(frame) {
    const look = { ...(frame?.settings ?? DEFAULT_SETTINGS), ...this.look };
    if (this.colormap.value !== look.colormap) this.colormap.value = look.colormap;
    if (Number(this.opacity.value) !== look.opacity) this.opacity.value = String(look.opacity);
    this.own.checked = this.look.own ?? false;
    setColormap(document.body, look.colormap);
    find('as-then', HTMLButtonElement).disabled = !this.chosen.length && !Object.keys(this.look).length;
    return { colormap: look.colormap, opacity: look.opacity };
  }

  /** @param {Frame} frame */
  #maps({ maps, settings }) {
    const wanted = this.chosen.length ? this.chosen : settings.hold;
    const found = wanted.flatMap((number) => maps.find((map) => map.class === number) ?? []);
    const shown = found.length || this.chosen.length ? found : maps.slice(0, 1);
    return this.look.own ? shown.map((map) => ({ ...map, scale: 1 })) : shown;
  }

  /** One colour for a class in list, time line and heat: two that are drawn have the colours of pinned ones. @param {Frame | null} frame */
  #tint(frame) {
    const drawn = frame ? this.#maps(frame).map((map) => map.class) : [];
    const pair = this.chosen.length > 1 ? this.chosen : drawn.length > 1 ? drawn : [];
    const text = pair.join();
    if (this.tinted === text) return;
    const { classes } = this.timeline.course;
    const order = [...new Set([...pair, ...classes.map((one) => one.class)])];
    /** @param {number} place */
    const tint = (place) => `var(--tint-${order.indexOf(classes[place].class) % TINTS})`;
    [...this.classes.querySelectorAll('button')].forEach((button, place) => button.style.setProperty('--tint', tint(place)));
    this.timeline.eachLine((place, line) => /** @type {SVGElement} */ (line).style.setProperty('--tint', tint(place)));
    this.tinted = text;
  }

  /** Names what is drawn, or why nothing is. @param {Frame | null} frame */
  #says(frame) {
    const says = find('heat-says', HTMLElement);
    const { sidecar } = this;
    if (!sidecar) return;
    const drawn = frame ? this.#maps(frame) : [];
    const missing = frame ? this.chosen.filter((number) => !drawn.some((map) => map.class === number)) : [];
    const lines = [
      ...drawn.map((map) => `${sidecar.labels.get(map.class)} ${percent(map.score)}`),
      ...missing.map((number) => words.recordings.notKept(sidecar.labels.get(number) ?? '')),
    ];
    if (!frame) lines.push(sidecar.complete ? words.recordings.noFrames : words.recordings.reading(sidecar.frames));
    else if (!lines.length) lines.push(words.recordings.noneYet);
    const text = lines.join('\n');
    if (says.dataset.text === text) return;
    says.dataset.text = text;
    says.replaceChildren(...lines.map((one, place) => {
      const pinned = drawn.length > 1 && place < drawn.length;
      const part = made('span', pinned ? 'pinned' : '', one);
      if (pinned) part.style.setProperty('--pinned', PINNED[place]);
      return part;
    }));
  }

  /** @param {Recording} recording */
  #files(recording) {
    const list = find('files', HTMLElement);
    const report = find('report', HTMLAnchorElement);
    report.hidden = !recording.files.some(({ name }) => name === REPORT);
    if (!report.hidden) report.href = fileOf(recording.id, REPORT);
    const link = (/** @type {string} */ name, /** @type {string} */ href, /** @type {number} */ size) => {
      const item = made('li', '');
      const anchor = made('a', '');
      anchor.href = href;
      anchor.download = '';
      anchor.append(made('span', 'name', name), made('span', 'size', bytes(size)));
      item.append(anchor);
      return item;
    };
    list.replaceChildren(
      link(words.recordings.all, zipOf(recording.id), recording.bytes),
      ...recording.files.map(({ name, bytes: size }) => link(name, `${fileOf(recording.id, name)}?download=1`, size)),
    );
  }
}
