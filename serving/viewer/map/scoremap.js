// The mitosis map: scores of the lattice, as a picture that is laid over the slide.

import { ask, here, json } from "../lib/api.js";
import { cover, table } from "./colours.js";

/** The map of an analysis. */
export async function loadMap(analysis) {
  const frame = await json(here(`/v1/analyses/${analysis}/map`));
  const scores = new Float32Array(await (await ask(frame.scores)).arrayBuffer());
  return new ScoreMap(frame, scores);
}

export class ScoreMap {
  constructor(frame, scores) {
    this.frame = frame;
    this.scores = scores;
    this.canvas = document.createElement("canvas");
    this.canvas.width = frame.columns;
    this.canvas.height = frame.rows;
    this.colour("inferno");
  }

  /** Colour the map by a scale. */
  colour(name) {
    const colours = table(name);
    const context = this.canvas.getContext("2d");
    const pixels = context.createImageData(this.canvas.width, this.canvas.height);
    this.scores.forEach((score, i) => {
      if (Number.isNaN(score)) return;
      const [r, g, b] = colours[Math.round(Math.min(Math.max(score, 0), 1) * 255)];
      pixels.data.set([r, g, b, Math.round(cover(score) * 255)], i * 4);
    });
    context.putImageData(pixels, 0, 0);
  }

  /** Where the picture lies, level-0 px: an element is `step` wide around the centre of its sub-tile. */
  get box() {
    const { x, y, step, window, columns, rows } = this.frame;
    const start = (window - step) / 2;
    return { x: x + start, y: y + start, width: columns * step, height: rows * step };
  }

  /** The score of the sub-tile whose centre is nearest to a place (level-0 px); NaN where none was scored. */
  at(x, y) {
    const { x: left, y: top, width, height } = this.box;
    const column = Math.floor(((x - left) / width) * this.frame.columns);
    const row = Math.floor(((y - top) / height) * this.frame.rows);
    if (column < 0 || row < 0 || column >= this.frame.columns || row >= this.frame.rows) return NaN;
    return this.scores[row * this.frame.columns + column];
  }
}
