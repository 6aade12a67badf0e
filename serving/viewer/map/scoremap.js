// The mitosis map: scores of the lattice, as a picture that is laid over the slide.

import { ask, here, json } from "../lib/api.js";
import { cover, table } from "./colours.js";

/** The map of an analysis. */
export async function loadMap(analysis) {
  const frame = await json(here(`/v1/analyses/${analysis}/map`));
  const [scores, light] = await Promise.all([frame.scores, frame.triage].map((address) => (address ? numbers(address) : null)));
  return new ScoreMap(frame, scores, light);
}

async function numbers(address) {
  return new Float32Array(await (await ask(address)).arrayBuffer());
}

export class ScoreMap {
  /**
   * @param {any} frame
   * @param {Float32Array} scores
   * @param {Float32Array | null} light Of a fast analysis: what the light net says where Reg-NS did not look.
   */
  constructor(frame, scores, light) {
    this.frame = frame;
    this.scores = scores;
    this.light = light;
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
    this.scores.forEach((own, i) => {
      const score = Number.isNaN(own) && this.light ? this.light[i] : own;
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

  /**
   * The score of the sub-tile whose centre is nearest to a place (level-0 px), NaN where none was scored, and what the light net says
   * of it where it alone looked, else NaN.
   */
  at(x, y) {
    const { x: left, y: top, width, height } = this.box;
    const column = Math.floor(((x - left) / width) * this.frame.columns);
    const row = Math.floor(((y - top) / height) * this.frame.rows);
    if (column < 0 || row < 0 || column >= this.frame.columns || row >= this.frame.rows) return { score: NaN, light: NaN };
    const i = row * this.frame.columns + column;
    return { score: this.scores[i], light: this.light ? this.light[i] : NaN };
  }
}
