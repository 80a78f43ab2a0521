// @ts-check
/** The controls go when nothing has moved for a while, and the pointer with them. */

const REST_MS = 2800;

/** @param {HTMLElement} body gets `data-resting` */
export function hideWhenIdle(body) {
  /** @type {number | undefined} */
  let timer;
  const rest = () => {
    // Whoever is at a control with the keyboard is not at rest.
    if (document.activeElement?.closest('[data-stays]')?.matches(':has(:focus-visible)')) return wake();
    body.dataset.resting = 'true';
  };
  const wake = () => {
    body.dataset.resting = 'false';
    clearTimeout(timer);
    timer = setTimeout(rest, REST_MS);
  };
  for (const event of ['pointermove', 'pointerdown', 'focusin']) document.addEventListener(event, wake, { passive: true });
  document.addEventListener('keydown', ({ key }) => { if (key === 'Tab') wake(); });
  wake();
}
