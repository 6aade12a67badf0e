// A field of a chosen area that is moved over the slide, with its count.

import { element } from "../lib/dom.js";
import { frame, position, viewer } from "../map/slide.js";
import { emit, on, over, state } from "../lib/state.js";

const UM2_PER_MM2 = 1e6;
let held = null;

/**
 * Put the field around a place, by default the middle of the screen.
 *
 * @param {{ x: number, y: number }} at level-0 px
 */
export function placeField(at = position()) {
  if (!state.report) return;
  const area = Number(element("field-area").value);
  const shape = element("field-shape").value;
  const mpp = state.report.slide.mpp;
  const um2 = area * UM2_PER_MM2;
  const [width, height] =
    shape === "disc" ? Array(2).fill((2 * Math.sqrt(um2 / Math.PI)) / mpp) : [Math.sqrt((um2 * 4) / 3) / mpp, Math.sqrt((um2 * 3) / 4) / mpp];
  state.field = { x: at.x - width / 2, y: at.y - height / 2, width, height, shape, area_mm2: area };
  emit("field");
}

/** Move the field by a share of its width and height. */
export function nudgeField(across, down) {
  if (!state.field) return;
  state.field.x += across * state.field.width;
  state.field.y += down * state.field.height;
  emit("field");
}

/** The count of the model in a window at the threshold. */
export function countIn(window) {
  return state.candidates.inWindow(window, over()).length;
}

function showCount() {
  const place = element("field-count");
  if (!state.field || !state.candidates) {
    place.textContent = "–";
    return;
  }
  const count = countIn(state.field);
  place.textContent = `${count} in ${state.field.area_mm2} mm² · ${(count / state.field.area_mm2).toFixed(1)} per mm²`;
}

function again() {
  if (!state.field) return;
  const { x, y, width, height } = state.field;
  placeField({ x: x + width / 2, y: y + height / 2 });
}

element("field-place").addEventListener("click", () => placeField());
element("field-area").addEventListener("change", again);
element("field-shape").addEventListener("change", again);
for (const name of ["field", "threshold", "opened"]) on(name, showCount);

// Dragged by its edge or its inside, but not where it fills the screen: then the slide itself moves.
viewer.addHandler("canvas-press", (event) => {
  if (!state.field) return;
  const at = frame();
  const [x, y] = [(event.position.x - at.left) / at.zoom, (event.position.y - at.top) / at.zoom];
  const { x: left, y: top, width, height } = state.field;
  const inside = x >= left && x < left + width && y >= top && y < top + height;
  const fits = width * at.zoom < element("slide").clientWidth * 0.9;
  held = inside && fits ? at : null;
});
viewer.addHandler("canvas-drag", (event) => {
  if (!held) return;
  event.preventDefaultAction = true;
  state.field.x += event.delta.x / held.zoom;
  state.field.y += event.delta.y / held.zoom;
  emit("field");
});
viewer.addHandler("canvas-drag-end", (event) => {
  if (held) event.preventDefaultAction = true;
  held = null;
});
