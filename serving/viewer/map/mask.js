// Tissue, and what quality control masks: a picture of numbers, coloured here and laid over the slide.

import { ask, here, json } from "../lib/api.js";

const BACKGROUND = 0;
const TISSUE = 1;
// After Okabe and Ito (2008): told apart by colour-blind eyes, and none of them a colour of stains.
const COLOURS = { tissue: [0, 114, 178, 90], pen: [0, 158, 115, 190], bubble: [86, 180, 233, 190], fold: [213, 94, 0, 190], blur: [240, 228, 66, 190] };
// Of reasons that a package beside Mitoserve adds.
const ADDED = [70, 70, 70, 190];

/** The mask of an analysis. */
export async function loadMask(analysis) {
  const frame = await json(here(`/v1/analyses/${analysis}/mask`));
  const picture = await createImageBitmap(await (await ask(frame.picture)).blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = sheet(frame);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, frame.columns, frame.rows);
  return new Mask(frame, Uint8Array.from({ length: frame.rows * frame.columns }, (_, i) => data[i * 4]));
}

/** The colour of a class, for legends. */
export function colourOf(name) {
  return `rgb(${(COLOURS[name] ?? ADDED).slice(0, 3).join(" ")})`;
}

export class Mask {
  constructor(frame, values) {
    this.frame = frame;
    this.values = values;
    this.tissue = this.coloured((value) => (value === BACKGROUND ? null : COLOURS.tissue));
    this.reasons = this.coloured((value) => (value > TISSUE ? COLOURS[frame.classes[value]] ?? ADDED : null));
  }

  /** Whether quality was controlled. */
  get controlled() {
    return this.frame.quality;
  }

  /** The reason why a place (level-0 px) is masked; null where it is not. */
  reasonAt(x, y) {
    const column = Math.min(Math.floor(x / this.frame.step_x), this.frame.columns - 1);
    const row = Math.min(Math.floor(y / this.frame.step_y), this.frame.rows - 1);
    const value = this.values[row * this.frame.columns + column];
    return value > TISSUE ? this.frame.classes[value] : null;
  }

  coloured(colour) {
    const canvas = sheet(this.frame);
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(canvas.width, canvas.height);
    this.values.forEach((value, i) => {
      const found = colour(value);
      if (found) pixels.data.set(found, i * 4);
    });
    context.putImageData(pixels, 0, 0);
    return canvas;
  }
}

function sheet(frame) {
  return Object.assign(document.createElement("canvas"), { width: frame.columns, height: frame.rows });
}
