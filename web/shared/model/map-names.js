// @ts-check
/** A model's maps in words: methods by their papers' names, layers by their grids. */

import { words } from '../i18n.js';

/** @typedef {import('./models-api.js').ListedMap} ListedMap */

/** A map by its method and grid, as people call it. @param {{method: string, grid: [number, number]}} map */
export function nameOfMap({ method, grid }) {
  return `${nameOfMethod(method)}, ${nameOfGrid(grid)}`;
}

/**
 * The name of a map that was chosen; with its layer's if the former one has the same name.
 *
 * @param {{method: string, layer: string, grid: [number, number]}} map
 * @param {{method: string, grid: [number, number]}} former
 */
export function nameOfChosen(map, former) {
  const name = nameOfMap(map);
  return name === nameOfMap(former) ? `${name}, ${map.layer}` : name;
}

/** @param {string} method */
export function nameOfMethod(method) {
  /** @type {Record<string, string>} */
  const names = words.common.maps.methods;
  return names[method] ?? method;
}

/** @param {[number, number]} grid */
function nameOfGrid([rows, columns]) {
  return `${columns}×${rows}`;
}

/** Layers with the same grid have their own names too. @param {ListedMap} map @param {ListedMap[]} all the coarsest first */
export function nameOfLayer(map, all) {
  const same = all.filter((other) => cells(other) === cells(map));
  const { coarse, fine } = words.common.maps;
  const [first, last] = [all[0], all[all.length - 1]];
  const kind = cells(first) === cells(last) ? '' : cells(map) === cells(first) ? coarse : cells(map) === cells(last) ? fine : '';
  const name = same.length > 1 ? map.layer : '';
  return [nameOfGrid(map.grid), kind, name].filter(Boolean).join(' · ');
}

/** @param {{grid: [number, number]}} map */
export function cells({ grid: [rows, columns] }) {
  return rows * columns;
}
