// @ts-check
/** Hides the controls and the pointer when nothing has moved for a while. */

const REST_MS = 2800;

/** @param {HTMLElement} body gets `data-resting` */
export function hideWhenIdle(body) {
  /** @type {number | undefined} */
  let timer;
  const rest = () => {
    // A control with keyboard focus keeps the controls visible.
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
