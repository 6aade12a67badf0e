// What holds two sides together: how far one is from the other in µm, and how much nearer.

/**
 * @typedef {{ x: number, y: number, zoom: number }} View Middle of the screen, level-0 px, and screen px per level-0 px.
 * @typedef {{ dx: number, dy: number, ratio: number }} Link From left to right: µm between the middles, and quotient of the scales.
 */

/**
 * The sizes of pixels by which two slides are compared: µm, or px where a slide states no resolution.
 *
 * @param {number | null} left
 * @param {number | null} right
 * @returns {[number, number]}
 */
export const scales = (left, right) => (left && right ? [left, right] : [1, 1]);

/**
 * How two views lie to each other.
 *
 * @param {View} left
 * @param {View} right
 * @param {[number, number]} mpp
 * @returns {Link}
 */
export function findLink(left, right, [one, other]) {
  return { dx: right.x * other - left.x * one, dy: right.y * other - left.y * one, ratio: right.zoom / other / (left.zoom / one) };
}

/**
 * The view of the right side that goes with one of the left.
 *
 * @param {View} left
 * @param {Link} link
 * @param {[number, number]} mpp
 * @returns {View}
 */
export function followRight(left, { dx, dy, ratio }, [one, other]) {
  return { x: (left.x * one + dx) / other, y: (left.y * one + dy) / other, zoom: (left.zoom / one) * ratio * other };
}

/**
 * The view of the left side that goes with one of the right.
 *
 * @param {View} right
 * @param {Link} link
 * @param {[number, number]} mpp
 * @returns {View}
 */
export function followLeft(right, { dx, dy, ratio }, [one, other]) {
  return { x: (right.x * other - dx) / one, y: (right.y * other - dy) / one, zoom: (right.zoom / other / ratio) * one };
}

/**
 * Whether the other side has a figure at the same place.
 *
 * @param {any[]} figures Of the other side.
 * @param {number} reach px between two middles that are one figure.
 * @returns {(figure: any) => boolean}
 */
export function findShared(figures, reach) {
  const middle = ({ x, y, width, height }) => [x + width / 2, y + height / 2];
  const cell = (value) => Math.floor(value / reach);
  /** @type {Map<string, number[][]>} */
  const cells = new Map();
  for (const [x, y] of figures.map(middle)) {
    const key = `${cell(x)},${cell(y)}`;
    cells.set(key, [...(cells.get(key) ?? []), [x, y]]);
  }
  return (figure) => {
    const [x, y] = middle(figure);
    for (const column of [-1, 0, 1]) {
      for (const row of [-1, 0, 1]) {
        const near = cells.get(`${cell(x) + column},${cell(y) + row}`) ?? [];
        if (near.some(([a, b]) => Math.hypot(a - x, b - y) <= reach)) return true;
      }
    }
    return false;
  };
}
