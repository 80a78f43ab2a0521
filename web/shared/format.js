// @ts-check
/** Durations, sizes and dates in the person's language. */

import { language } from './i18n.js';

/** The full tag (en-GB, en-US), because date formats differ within a language. */
const locale = navigator.languages.find((tag) => tag.toLowerCase().startsWith(language)) ?? language;

const day = new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const time = new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit' });
const sizes = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'].map((unit) => (
  new Intl.NumberFormat(locale, { style: 'unit', unit, maximumFractionDigits: 1 })
));

/** @param {string} moment ISO 8601 */
export const dayOf = (moment) => day.format(new Date(moment));

/** @param {string} moment ISO 8601 */
export const timeOf = (moment) => time.format(new Date(moment));

/** @param {number} count */
export function bytes(count) {
  const step = Math.min(sizes.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3));
  return sizes[step].format(count / 1000 ** step);
}

const tenths = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** @param {number} ms @returns {string} 120 ms, 1.1 s */
export function span(ms) {
  return ms < 995 ? `${Math.round(ms)} ms` : `${tenths.format(ms / 1000)} s`;
}

/** @param {number} seconds @returns {string} 1:03, as on a player */
export function clock(seconds) {
  const whole = Math.floor(seconds + 0.05);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const two = (/** @type {number} */ number) => String(number).padStart(2, '0');
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
