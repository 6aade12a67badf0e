// The candidates of an analysis: counted, looked up by place, and gathered into clusters, however many there are.

const CELL = 1024; // level-0 px: about what one screen shows where single boxes can be seen

export class Candidates {
  /** @param {(import("../lib/state.js").Found & { probability: number })[]} list It is kept likeliest first. */
  constructor(list) {
    this.list = list.slice().sort((a, b) => b.probability - a.probability || a.y - b.y || a.x - b.x);
    this.xs = Float64Array.from(this.list, (c) => c.x + c.width / 2);
    this.ys = Float64Array.from(this.list, (c) => c.y + c.height / 2);
    this.places = new Map(this.list.map((c, i) => [c.id, i]));
    this.cells = new Map();
    this.list.forEach((_, i) => {
      const key = cellKey(Math.floor(this.xs[i] / CELL), Math.floor(this.ys[i] / CELL));
      const cell = this.cells.get(key);
      if (cell) cell.push(i);
      else this.cells.set(key, [i]);
    });
    this.gathered = { count: -1, side: 0, clusters: [] };
  }

  /** How many are at least as likely as `threshold`; they are the first of the list. */
  count(threshold) {
    let low = 0;
    let high = this.list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.list[middle].probability >= threshold) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Place of a candidate in the list; -1 where it is none. */
  indexOf(id) {
    return this.places.get(id) ?? -1;
  }

  /** Indices of the first `count` whose centre lies in a rectangle (level-0 px, half-open). */
  within(box, count) {
    const found = [];
    const right = box.x + box.width;
    const bottom = box.y + box.height;
    this.cellsOver(box, (i) => {
      if (i < count && this.xs[i] >= box.x && this.xs[i] < right && this.ys[i] >= box.y && this.ys[i] < bottom) found.push(i);
    });
    return found;
  }

  /** Indices of the first `count` whose centre lies in a window: a rectangle, the disc in it, or the connected fields in it. */
  inWindow(area, count) {
    const found = this.within(area, count);
    if (area.parts) {
      return found.filter((i) => area.parts.some(([x, y, width, height]) => this.xs[i] >= x && this.xs[i] < x + width && this.ys[i] >= y && this.ys[i] < y + height));
    }
    if (area.shape !== "disc") return found;
    const radius = area.width / 2;
    return found.filter((i) => Math.hypot(this.xs[i] - area.x - radius, this.ys[i] - area.y - radius) <= radius);
  }

  /** The nearest of the first `count` to a place, within `reach` px; -1 where there is none. */
  nearest(x, y, reach, count) {
    let best = -1;
    let distance = reach;
    this.cellsOver({ x: x - reach, y: y - reach, width: 2 * reach, height: 2 * reach }, (i) => {
      const away = Math.hypot(this.xs[i] - x, this.ys[i] - y);
      if (i < count && away <= distance) [best, distance] = [i, away];
    });
    return best;
  }

  /** The first `count` by squares of `side` px: {x, y, count} with the mean of the centres. */
  clusters(side, count) {
    if (this.gathered.side === side && this.gathered.count === count) return this.gathered.clusters;
    const squares = new Map();
    for (let i = 0; i < count; i++) {
      const key = cellKey(Math.floor(this.xs[i] / side), Math.floor(this.ys[i] / side));
      let square = squares.get(key);
      if (!square) squares.set(key, (square = { x: 0, y: 0, count: 0 }));
      square.x += this.xs[i];
      square.y += this.ys[i];
      square.count += 1;
    }
    const clusters = Array.from(squares.values(), (s) => ({ x: s.x / s.count, y: s.y / s.count, count: s.count }));
    this.gathered = { side, count, clusters };
    return clusters;
  }

  cellsOver(box, each) {
    for (let row = Math.floor(box.y / CELL); row <= Math.floor((box.y + box.height) / CELL); row++) {
      for (let column = Math.floor(box.x / CELL); column <= Math.floor((box.x + box.width) / CELL); column++) {
        this.cells.get(cellKey(column, row))?.forEach(each);
      }
    }
  }
}

function cellKey(column, row) {
  return row * 2 ** 24 + column;
}
