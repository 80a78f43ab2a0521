// @ts-check
/** Single-key shortcuts. They are ignored while text is typed, and can be switched off (WCAG 2.1.4). */

const STORED = 'whycam.keys';

export class Shortcuts {
  /** @param {Record<string, () => void>} actions by `KeyboardEvent.key`, letters in lower case */
  constructor(actions) {
    this.actions = actions;
    this.on = stored() !== 'off';
    document.addEventListener('keydown', (event) => this.#pressed(event));
  }

  /** @param {boolean} on stored for the next visit */
  switch(on) {
    this.on = on;
    try {
      localStorage.setItem(STORED, on ? 'on' : 'off');
    } catch {
      // Without storage, the setting lasts until the page is closed.
    }
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return;
    if (typesInto(event.target)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!this.on && key.length === 1) return;
    const action = Object.hasOwn(this.actions, key) ? this.actions[key] : undefined;
    if (!action) return;
    event.preventDefault();
    action();
  }
}

/**
 * Whether a field takes the key. A closed dialog's field keeps the focus until the next picture is drawn: it takes none.
 *
 * @param {EventTarget | null} target
 */
function typesInto(target) {
  const isField = target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
  return isField && target.getClientRects().length > 0;
}

function stored() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}
