// @ts-check
/** How many pictures of one shape lie on a wall so that each is as large as can be; how one lies on it with its words. */

/** @typedef {{columns: number, rows: number}} Mosaic */

/**
 * @param {number} count of pictures
 * @param {number} aspect of each, width by height
 * @param {{width: number, height: number}} wall
 * @returns {Mosaic}
 */
export function grid(count, aspect, wall) {
  let best = { columns: 1, rows: Math.max(1, count), size: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const size = Math.min(wall.width / columns, (wall.height / rows) * aspect);
    if (size > best.size) best = { columns, rows, size };
  }
  return { columns: best.columns, rows: best.rows };
}

/**
 * Where the words go: into the free room beside or below the picture, and over its foot where there is none.
 *
 * @typedef {object} Placing
 * @property {number} width of all pictures together, as large as they can be
 * @property {number} height
 * @property {'row' | 'column'} pair how two of them stand
 * @property {'beside' | 'below' | 'over'} words
 */

/** Where this much of the wall is free, words take it. */
const FREE = 0.1;
/** What words are given then, be it that the picture gets a little smaller: the last row shall read them. */
const ROOM = 0.24;

/**
 * @param {number} aspect of one picture
 * @param {boolean} two whether the camera's picture stands with the explained one
 * @param {{width: number, height: number}} wall
 * @returns {Placing}
 */
export function placing(aspect, two, wall) {
  const row = fitted(two ? 2 * aspect : aspect, wall);
  const column = fitted(two ? aspect / 2 : aspect, wall);
  // Of one picture: two in a row are half as wide each, two in a column are as wide as both.
  const pair = two && column.width > row.width / 2 ? 'column' : 'row';
  const shape = two ? (pair === 'row' ? 2 * aspect : aspect / 2) : aspect;
  const most = fitted(shape, wall);
  if (1 - most.width / wall.width >= FREE) {
    return { ...fitted(shape, { width: wall.width * (1 - ROOM), height: wall.height }), pair, words: 'beside' };
  }
  if (1 - most.height / wall.height >= FREE) {
    return { ...fitted(shape, { width: wall.width, height: wall.height * (1 - ROOM) }), pair, words: 'below' };
  }
  return { ...most, pair, words: 'over' };
}

/** @param {number} aspect @param {{width: number, height: number}} wall */
function fitted(aspect, wall) {
  const width = Math.min(wall.width, wall.height * aspect);
  return { width: Math.floor(width), height: Math.floor(width / aspect) };
}
