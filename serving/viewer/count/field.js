// A field that is moved over the slide; the server counts it, as it counts hotspots.

import { element } from "../lib/dom.js";
import { currentWindow, emit, on, state } from "../lib/state.js";
import { frame, position, viewer } from "../map/slide.js";

let held = null;

/**
 * Put the field around a place, by default the middle of the screen, and count it.
 *
 * @param {{ x: number, y: number }} at level-0 px
 */
export function placeField(at = position()) {
  if (!state.report) return;
  state.field = { x: at.x, y: at.y };
  state.window = "field";
  emit("field");
  emit("window");
}

/** Move the field by a share of its width and height. */
export function nudgeField(across, down) {
  const size = fieldSize();
  if (!state.field || !size) return;
  state.field = { x: state.field.x + across * size.width, y: state.field.y + down * size.height };
  emit("field");
}

/**
 * The field where it is drawn now: around its middle, as large as windows are.
 *
 * @returns {any}
 */
export function fieldWindow() {
  const size = fieldSize();
  if (!state.field || !size) return null;
  const { width, height, shape } = size;
  return { x: state.field.x - width / 2, y: state.field.y - height / 2, width, height, shape };
}

const fieldSize = () => state.counts?.fields[0] ?? state.counts?.hotspots[0] ?? currentWindow()?.window;

on("counts", () => {
  // The server keeps windows inside what was analysed.
  const counted = state.counts?.fields[0];
  if (counted && state.field && !held) state.field = { x: counted.x + counted.width / 2, y: counted.y + counted.height / 2 };
});
element("field-place").addEventListener("click", () => placeField());

// Dragged by its inside, but not where it fills the screen: then the slide itself moves.
viewer.addHandler("canvas-press", (event) => {
  const window = fieldWindow();
  if (!window || state.tool || state.region >= 0) return;
  const at = frame();
  const [x, y] = [(event.position.x - at.left) / at.zoom, (event.position.y - at.top) / at.zoom];
  const inside = x >= window.x && x < window.x + window.width && y >= window.y && y < window.y + window.height;
  const fits = window.width * at.zoom < element("slide").clientWidth * 0.9;
  held = inside && fits ? at : null;
});
viewer.addHandler("canvas-drag", (event) => {
  if (!held) return;
  event.preventDefaultAction = true;
  state.field = { x: state.field.x + event.delta.x / held.zoom, y: state.field.y + event.delta.y / held.zoom };
  emit("field");
});
viewer.addHandler("canvas-drag-end", (event) => {
  if (!held) return;
  event.preventDefaultAction = true;
  held = null;
  placeField(state.field);
});
