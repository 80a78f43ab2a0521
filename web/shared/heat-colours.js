// @ts-check
/** Heatmap colours: full tables for drawing, and the gradient of the style sheets (`--map`). */
import { COLORMAPS, DARKEST, PINNED, TABLES } from './colormaps.js';

/** Table indices of a gradient's five colours. The coldest colours would be too dark to see. */
const STOPS = [64, 108, 152, 196, 240];

/** @param {number} place in `PINNED` @returns {Uint8ClampedArray} (256, 3) shades; the hottest is the colour itself */
export function shadesOf(place) {
  const full = [1, 3, 5].map((at) => parseInt(PINNED[place].slice(at, at + 2), 16));
  return Uint8ClampedArray.from({ length: 768 }, (_, i) => full[i % 3] * (DARKEST + ((1 - DARKEST) * Math.floor(i / 3)) / 255));
}

/** @type {Map<string, Uint8Array>} */
const unpacked = new Map();

/** @param {string} colormap @returns {Uint8Array} (256, 3) */
export function coloursOf(colormap) {
  let colours = unpacked.get(colormap);
  if (!colours) {
    colours = Uint8Array.from(atob(TABLES[colormap]), (letter) => letter.charCodeAt(0));
    unpacked.set(colormap, colours);
  }
  return colours;
}

/** @param {string} colormap @param {number} heat 0…255 */
function colourAt(colormap, heat) {
  return `rgb(${coloursOf(colormap).subarray(3 * heat, 3 * heat + 3).join(' ')})`;
}

/** Sets the colormap of an element and its children. @param {HTMLElement} element @param {string} colormap */
export function setColormap(element, colormap) {
  element.style.setProperty('--map', STOPS.map((heat) => colourAt(colormap, heat)).join(', '));
}

/** A colormap's name, the same in every language. @param {string} colormap */
export function nameOf(colormap) {
  return colormap[0].toUpperCase() + colormap.slice(1);
}

setColormap(document.documentElement, COLORMAPS[0]);
