// @ts-check
/** Lengths, sizes and dates as the person's language writes them. */

import { language } from './words.js';

const day = new Intl.DateTimeFormat(language, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const time = new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit' });
const megabytes = new Intl.NumberFormat(language, { style: 'unit', unit: 'megabyte', maximumSignificantDigits: 2 });
const gigabytes = new Intl.NumberFormat(language, { style: 'unit', unit: 'gigabyte', maximumSignificantDigits: 2 });

/** @param {string} moment ISO 8601 */
export const dayOf = (moment) => day.format(new Date(moment));

/** @param {string} moment ISO 8601 */
export const timeOf = (moment) => time.format(new Date(moment));

/** @param {number} count */
export const bytes = (count) => (count < 1e9 ? megabytes.format(count / 1e6) : gigabytes.format(count / 1e9));

/** @param {number} seconds as on a player: 1:03 */
export function clock(seconds) {
  const whole = Math.floor(seconds + 0.05);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const two = (/** @type {number} */ number) => String(number).padStart(2, '0');
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
