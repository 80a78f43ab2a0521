// @ts-check
/** How many pictures of one shape lie on a wall so that each is as large as can be; how one lies on it with its words. */

/** @typedef {{columns: number, rows: number}} Mosaic */

/**
 * @param {number} count of pictures
 * @param {number} aspect of each, width by height
 * @param {{width: number, height: number}} wall
 * @returns {Mosaic}
 */
export function mosaic(count, aspect, wall) {
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

/** Less of the wall holds no word that the last row could read. */
const ROOM_BESIDE = 0.2;
const ROOM_BELOW = 0.2;

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
  const { width, height } = pair === 'row' ? row : column;
  const beside = 1 - width / wall.width;
  const below = 1 - height / wall.height;
  return { width, height, pair, words: beside >= ROOM_BESIDE ? 'beside' : below >= ROOM_BELOW ? 'below' : 'over' };
}

/** @param {number} aspect @param {{width: number, height: number}} wall */
function fitted(aspect, wall) {
  const width = Math.min(wall.width, wall.height * aspect);
  return { width: Math.floor(width), height: Math.floor(width / aspect) };
}
