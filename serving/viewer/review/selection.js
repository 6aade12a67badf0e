// What is chosen, and how one goes from one object to the next.

import { element } from "../lib/dom.js";
import { currentWindow, emit, objectOf, on, over, ownLabel, state } from "../lib/state.js";
import { goTo, isNear } from "../map/slide.js";
import { disagreements } from "../signoff/stage.js";

/** Screen px per level-0 px at which one judges; nearer stays nearer. */
const JUDGING_ZOOM = 1;

/** Choose an object and show it. */
export function select(id, { move = true } = {}) {
  state.selected = id;
  const object = objectOf(id);
  if (object && move) {
    const [x, y] = [object.x + object.width / 2, object.y + object.height / 2];
    if (!isNear(x, y, JUDGING_ZOOM)) goTo(x, y, JUDGING_ZOOM, { at: "glide" });
  }
  emit("selected");
}

/**
 * The objects of the window that is counted: the model's figures and added ones first, then what is possible below the threshold.
 *
 * @returns {string[]} Their ids.
 */
export function windowObjects() {
  const window = currentWindow()?.window;
  if (!window || !state.candidates) return [];
  const { candidates } = state;
  const inside = candidates.inWindow(window, candidates.list.length);
  const added = [...(state.review?.added ?? [])].filter(([, box]) => holds(window, box) && state.isCounted(box)).map(([id]) => id);
  const count = over();
  const ids = (indices) => indices.sort((a, b) => a - b).map((i) => candidates.list[i].id);
  return [...ids(inside.filter((i) => i < count)), ...added, ...ids(inside.filter((i) => i >= count))];
}

/** The objects that one goes through: those of the window, or those on which both readers differ. */
export const shownObjects = () => (element("strip-filter").value === "disagreements" ? disagreements() : windowObjects());

function holds(window, box) {
  const [x, y] = [box.x + box.width / 2 - window.x, box.y + box.height / 2 - window.y];
  if (window.shape === "disc") return Math.hypot(x - window.width / 2, y - window.height / 2) <= window.width / 2;
  if (window.parts) return window.parts.some(([left, top, width, height]) => x + window.x >= left && x + window.x < left + width && y + window.y >= top && y + window.y < top + height);
  return x >= 0 && x < window.width && y >= 0 && y < window.height;
}

/** Whether the model counts an object at the threshold, or a reviewer added it. */
export const isFigure = (id) => id.startsWith("added-") || state.candidates.indexOf(id) < over();

/** Choose the object `step` places further on in the window. */
export function selectNext(step) {
  const ids = shownObjects();
  if (!ids.length) return;
  const index = ids.indexOf(state.selected);
  const next = index < 0 ? (step > 0 ? 0 : ids.length - 1) : Math.min(Math.max(index + step, 0), ids.length - 1);
  select(ids[next]);
}

/** Choose the next of the model's figures without a verdict, after what is chosen, else from the start; false where all are judged. */
export function selectUnjudged() {
  const ids = element("strip-filter").value === "disagreements" ? disagreements() : windowObjects().filter(isFigure);
  const from = Math.max(ids.indexOf(state.selected) + 1, 0);
  const next = [...ids.slice(from), ...ids.slice(0, from)].find((id) => ownLabel(id) === undefined);
  if (next === undefined) return false;
  select(next);
  return true;
}

on("opened", dropSelection);
on("regions", dropSelection);

/** Nothing is chosen that is not there, or not counted. */
function dropSelection() {
  if (objectOf(state.selected)) return;
  state.selected = null;
  emit("selected");
}
