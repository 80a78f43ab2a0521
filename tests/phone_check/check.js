/**
 * A panel over the page that runs through it on a phone: presses the page's own buttons, looks at what the page says of
 * itself (`window.whycam`), asks the person for what only a person can do, and writes a report.
 *
 * It is loaded before the page's modules, so that it hears their errors.
 */
(() => {
  const complaints = [];
  addEventListener('error', ({ message, filename, lineno }) => complaints.push(`${message} (${filename}:${lineno})`));
  addEventListener('unhandledrejection', ({ reason }) => complaints.push(`rejected: ${reason}`));
  for (const level of ['error', 'warn']) {
    const real = console[level].bind(console);
    console[level] = (...said) => { complaints.push(`${level}: ${said.join(' ')}`); real(...said); };
  }

  const find = (selector) => document.querySelector(selector);
  const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
  const state = () => document.body.dataset.state;
  const report = () => window.whycam?.report;
  const shape = () => { const { videoWidth, videoHeight } = find('#returned'); return `${videoWidth}x${videoHeight}`; };
  const upright = () => { const { videoWidth, videoHeight } = find('#returned'); return videoHeight > videoWidth; };

  class Skipped extends Error {}

  async function until(condition, what, seconds = 20) {
    const end = performance.now() + seconds * 1000;
    while (!condition()) {
      if (performance.now() > end) throw new Error(`${what}: not within ${seconds} s; state ${state()}, ${find('#error').textContent}`);
      await pause(50);
    }
  }

  async function press(selector) {
    await until(() => find(selector)?.getClientRects().length, `${selector} is shown`, 5);
    find(selector).click();
  }

  const steps = {
    async 'the page opens from the code'() {
      await until(() => state() === 'idle', 'the start page');
      if (location.hash) throw new Error('the code is still in the address');
      return `${navigator.language}, page in ${document.documentElement.lang}`;
    },
    async 'the camera is live'() {
      say('Allow the camera when the browser asks.');
      const began = performance.now();
      await press('#start');
      await until(() => state() === 'live', 'live', 60);
      const ms = Math.round(performance.now() - began);
      const before = window.whycam.frames;
      await pause(3000);
      const fps = (window.whycam.frames - before) / 3;
      if (fps < 5) throw new Error(`${fps.toFixed(1)} frames a second`);
      return `${ms} ms, ${shape()}, ${fps.toFixed(1)} frames a second, ${await codec()}, latency ${JSON.stringify(window.whycam.latency)}`;
    },
    async 'it is explained'() {
      await until(() => report()?.labels.length === 5 && find('#labels').textContent, 'five labels');
      return report().labels[0];
    },
    async 'the picture freezes and runs again'() {
      await press('#freeze');
      await until(() => state() === 'frozen' && report().frozen, 'frozen');
      await press('#freeze');
      await until(() => state() === 'live' && !report().frozen, 'live again');
    },
    async 'the phone is turned'() {
      const was = upright();
      let skipped = false;
      say('Turn the phone by 90°, with its rotation lock off.', { 'I cannot': () => { skipped = true; } });
      await until(() => skipped || upright() !== was, 'a turned picture', 60);
      if (skipped) throw new Skipped('the person cannot');
      const turned = shape();
      say('Now turn it back.', { 'I cannot': () => { skipped = true; } });
      await until(() => skipped || upright() === was, 'a picture turned back', 60);
      return `${turned}, then ${shape()}`;
    },
    async 'recording is switched off and on'() {
      const is = () => report().recording.state;
      const first = is();
      await press('#record');
      await until(() => is() !== first, 'switched');
      await pause(3000);
      await press('#record');
      await until(() => is() === first, 'switched back');
      return `${first} at first`;
    },
    async 'the picture is saved'() {
      let pressed = false;
      find('#save').addEventListener('click', () => { pressed = true; }, { once: true });
      say('Press the button with the arrow down (Save), in the page below.');
      await until(() => pressed, 'Save was pressed', 60);
      if (!(await ask('Is the picture in the phone’s photos, files or downloads?'))) throw new Error('the person says: no');
    },
    async 'it connects again after a break'() {
      const { ok } = await fetch('/check/break', { method: 'POST' });
      if (!ok) throw new Error('the server did not break the call');
      const began = performance.now();
      await until(() => state() === 'reconnecting', 'reconnecting');
      const noticed = Math.round(performance.now() - began);
      await until(() => state() === 'live', 'live again', 30);
      return `noticed after ${noticed} ms, live after ${Math.round(performance.now() - began)} ms`;
    },
    async 'it ends'() {
      await press('#stop');
      await until(() => ['ended', 'idle'].includes(state()), 'the end');
    },
  };

  async function codec() {
    const stats = [...(await window.whycam.connection.getStats()).values()];
    const codecs = stats.filter(({ type }) => type === 'codec').map(({ mimeType }) => mimeType);
    return [...new Set(codecs)].join(' and ');
  }

  let panel;

  /** @param {string} text @param {Record<string, () => void>} [buttons] */
  function say(text, buttons = {}) {
    panel.querySelector('p').textContent = text;
    panel.querySelector('nav').replaceChildren(...Object.entries(buttons).map(([label, action]) => {
      const button = document.createElement('button');
      button.textContent = label;
      button.addEventListener('click', action);
      return button;
    }));
  }

  /** @param {string} text @returns {Promise<boolean>} the person's answer */
  function ask(text) {
    return new Promise((resolve) => { say(text, { Yes: () => resolve(true), No: () => resolve(false) }); });
  }

  async function run() {
    const done = [];
    for (const [name, step] of Object.entries(steps)) {
      say(`${name} …`);
      const began = performance.now();
      const entry = { step: name, result: 'ok', says: '' };
      try {
        entry.says = (await step()) ?? '';
      } catch (error) {
        entry.result = error instanceof Skipped ? 'skipped' : 'FAILED';
        entry.says = error.message;
      }
      done.push({ ...entry, ms: Math.round(performance.now() - began) });
      const line = document.createElement('li');
      line.textContent = `${entry.result}: ${name}${entry.says ? `; ${entry.says}` : ""}`;
      panel.querySelector('ol').append(line);
      line.scrollIntoView({ block: 'nearest' });
    }
    await show({
      browser: navigator.userAgent, at: new Date().toISOString(), screen: `${screen.width}x${screen.height} x ${devicePixelRatio}`,
      passed: done.every(({ result }) => result !== 'FAILED') && !complaints.length, steps: done, complaints,
    });
  }

  async function show(whole) {
    const text = JSON.stringify(whole, null, 1);
    const sent = await fetch('/check/report', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: text })
      .then(({ ok }) => ok, () => false);
    const area = document.createElement('textarea');
    area.readOnly = true;
    area.value = text;
    panel.querySelector('ol').replaceWith(area);
    const buttons = { Copy: () => void navigator.clipboard.writeText(text) };
    if (navigator.share) buttons.Share = () => void navigator.share({ text }).catch(() => {});
    say(`${whole.passed ? 'All is well.' : 'Something failed.'} ${sent ? 'The computer has this report' : 'The computer did not get this report'}; please send it back.`, buttons);
    panel.dataset.passed = whole.passed;
  }

  addEventListener('DOMContentLoaded', () => {
    panel = document.createElement('section');
    panel.id = 'check';
    panel.append(document.createElement('p'), document.createElement('ol'), document.createElement('nav'));
    document.body.append(panel);
    say('This checks whycam on this phone, in about a minute.', { Begin: () => void run() });
  });
})();
