// @ts-check
/** Lengths, sizes and dates as the person's language writes them. */

import { language } from './i18n.js';

/** Of those who share a language some write dates in another way. */
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

/** @param {number} ms @returns {string} short to read: 120 ms, 1.1 s */
export function span(ms) {
  return ms < 995 ? `${Math.round(ms)} ms` : `${tenths.format(ms / 1000)} s`;
}

/** @param {number} seconds as on a player: 1:03 */
export function clock(seconds) {
  const whole = Math.floor(seconds + 0.05);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const two = (/** @type {number} */ number) => String(number).padStart(2, '0');
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
