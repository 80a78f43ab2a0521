// @ts-check
/** Layout of the wall: the grid with the largest pictures, and the placement of one picture and its text. */

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
 * Where the text goes: into the free room beside or below the picture, or over its lower edge if there is none.
 *
 * @typedef {object} Placing
 * @property {number} width of all pictures together, as large as they can be
 * @property {number} height
 * @property {'row' | 'column'} pair how two pictures are arranged
 * @property {'beside' | 'below' | 'over'} words
 */

/** If at least this share of the wall is free, the text goes there. */
const FREE = 0.1;
/** The share that the text then gets, even if the picture becomes a little smaller, so that the last row can read it. */
const ROOM = 0.24;

/**
 * @param {number} aspect of one picture
 * @param {boolean} two whether the camera's picture is shown too
 * @param {{width: number, height: number}} wall
 * @returns {Placing}
 */
export function placing(aspect, two, wall) {
  const row = fitted(two ? 2 * aspect : aspect, wall);
  const column = fitted(two ? aspect / 2 : aspect, wall);
  // Width of one picture: half of a row, the whole of a column.
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
