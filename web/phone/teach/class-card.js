// @ts-check
/** One taught class: its name, its probability now, its last examples, and the button that gives it more. */

import { made } from '../../shared/dom.js';
import { percent, words } from '../../shared/i18n.js';
import { pictureOf } from '../../shared/model/teaching-api.js';
import { HoldButton } from './hold-button.js';

/** @typedef {import('../../shared/model/teaching-api.js').TaughtClass} TaughtClass */
/**
 * @typedef {object} Listener
 * @property {(number: number, on: boolean) => void} held
 * @property {(number: number, name: string) => void} renamed
 * @property {(number: number) => void} removed
 * @property {(number: number, example: number) => void} enlarged
 */

/** A phone ticks when this many examples have been taken. */
const TICK = 5;
const TICK_MS = 10;
/** Examples that have room beside the button. */
const MOST = 3;

export class ClassCard {
  /** @param {number} number @param {Listener} listener */
  constructor(number, listener) {
    const { teach } = words.phone;
    this.number = number;
    this.listener = listener;
    /** What the server says of it. @type {TaughtClass | null} */
    this.taught = null;
    /** Its examples now. */
    this.count = 0;
    this.element = made('li', 'taught');
    this.element.dataset.class = String(number);
    const head = this.element.appendChild(made('div', 'taught-head'));
    this.name = head.appendChild(made('h3', 'taught-name'));
    this.rename = head.appendChild(icon('rename', 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4', () => this.#edit()));
    this.remove = head.appendChild(icon('remove', 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13', () => listener.removed(number)));
    const now = this.element.appendChild(made('div', 'taught-now'));
    this.bar = now.appendChild(made('span', 'bar'));
    this.score = now.appendChild(made('span', 'score'));
    const row = this.element.appendChild(made('div', 'taught-row'));
    this.examples = row.appendChild(made('ul', 'examples'));
    this.button = row.appendChild(made('button', 'hold'));
    this.button.type = 'button';
    this.called = made('span', 'hidden');
    this.counter = made('b', 'count');
    this.says = made('span', 'says', teach.hold);
    for (const seen of [this.counter, this.says]) seen.ariaHidden = 'true'; // the button's name stays the same
    this.button.append(this.counter, this.says, this.called);
    this.hold = new HoldButton(this.button, (on) => listener.held(number, on));
  }

  /** @param {TaughtClass} taught @param {{host: boolean, most: number}} how `most`: examples that a class may have */
  show(taught, { host, most }) {
    const { teach } = words.phone;
    const { name } = taught;
    const same = this.taught?.name === name;
    this.taught = taught;
    if (!this.hold.on) this.#tally(taught.examples);
    if (!same) {
      this.name.textContent = name;
      this.called.textContent = teach.holdAll(name);
      this.rename.setAttribute('aria-label', teach.rename(name));
      this.remove.setAttribute('aria-label', teach.remove(name));
    }
    this.rename.hidden = this.remove.hidden = !host;
    this.button.disabled = taught.examples >= most && !this.hold.on;
    if (this.button.disabled) say(this.says, teach.full);
    else if (!this.hold.on) say(this.says, teach.hold);
    this.#thumbnails(taught);
  }

  /** @param {boolean} on whether it gets examples now @param {number} [examples] how many it has */
  holding(on, examples = this.count) {
    if (on !== this.hold.on) this.hold.show(on);
    const ticks = on && Math.floor(examples / TICK) > Math.floor(this.count / TICK);
    if (ticks) navigator.vibrate?.(TICK_MS);
    this.#tally(examples);
    const { hold, letGo, pressAgain, full } = words.phone.teach;
    const still = this.hold.pressed === null ? pressAgain : letGo;
    say(this.says, on ? still : this.button.disabled ? full : hold);
  }

  /** @param {number | null} score its probability in the picture on screen; null: it is not among the best */
  live(score) {
    say(this.score, score === null ? '' : percent(score));
    this.bar.style.setProperty('--score', (score ?? 0).toFixed(3));
  }

  /** @param {number} count */
  #tally(count) {
    this.count = count;
    say(this.counter, String(count));
  }

  /** @param {TaughtClass} taught */
  #thumbnails({ name, latest }) {
    const newest = latest.slice(-MOST);
    const key = JSON.stringify([name, newest]);
    if (this.examples.dataset.key === key) return;
    this.examples.dataset.key = key;
    const focused = this.examples.contains(document.activeElement);
    this.examples.replaceChildren(...newest.map((example, i) => {
      const item = made('li', '');
      const button = item.appendChild(made('button', 'example'));
      button.type = 'button';
      button.dataset.example = String(example);
      button.setAttribute('aria-label', words.phone.teach.example(name, i + 1));
      const image = button.appendChild(made('img', ''));
      Object.assign(image, { src: pictureOf(example), alt: '', draggable: false });
      button.addEventListener('click', () => this.listener.enlarged(this.number, example));
      return item;
    }));
    if (focused) (this.examples.querySelector('button') ?? this.button).focus({ preventScroll: true });
  }

  /** Puts a field in the name's place; Enter and leaving it keep what was typed, Esc does not. */
  #edit() {
    const { taught } = this;
    if (!taught || this.name.hidden) return;
    const form = made('form', 'renaming');
    const input = form.appendChild(made('input', ''));
    Object.assign(input, { value: taught.name, autocomplete: 'off', enterKeyHint: 'done', ariaLabel: words.phone.teach.rename(taught.name) });
    let over = false;
    /** @param {boolean} keeps @param {boolean} back whether the focus returns to the button */
    const end = (keeps, back) => {
      if (over) return;
      over = true;
      const name = input.value.trim();
      this.name.hidden = false;
      form.remove();
      if (back) this.rename.focus({ preventScroll: true });
      if (keeps && name && name !== this.taught?.name) this.listener.renamed(this.number, name);
    };
    form.addEventListener('submit', (event) => { event.preventDefault(); end(true, true); });
    input.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      end(false, true);
    });
    input.addEventListener('blur', () => end(true, false));
    this.name.hidden = true;
    this.name.after(form);
    input.focus();
    input.select();
  }
}

/** @param {string} name @param {string} path of its drawing @param {() => void} pressed */
function icon(name, path, pressed) {
  const button = made('button', `round ${name}`);
  button.type = 'button';
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.appendChild(document.createElementNS(svg.namespaceURI, 'path')).setAttribute('d', path);
  button.append(svg);
  button.addEventListener('click', pressed);
  return button;
}

/** @param {HTMLElement} element @param {string} text */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
