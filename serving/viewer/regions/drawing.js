// Drawing: polygons by their corners, rectangles and brush strokes by dragging; corners of what is there are moved.

import { element } from "../lib/dom.js";
import { emit, on, state } from "../lib/state.js";
import { toast } from "../lib/toast.js";
import { frame, placeAt, position, viewer } from "../map/slide.js";
import { isAtWorklist } from "../page/screens.js";
import { changeRegions } from "./regions.js";
import { regionOf, withRing } from "./shapes.js";

const NEAR_PX = 10;
const SAME_PX = 4;
const MOVE_PX = 6;
const HELP = {
  polygon: "Click corners; the first one again closes. Enter puts one at the cross.",
  rectangle: "Drag from corner to corner. Enter puts one at the cross.",
  brush: "Drag over it. Enter paints at the cross.",
};

/** @type {[number, number][]} Of what is being drawn. */
let points = [];
/** @type {{ polygon: number, ring: number, index: number } | null} The corner that is being dragged. */
let grabbed = null;
let dragging = false;

/** Begin or end drawing with a tool; the same one again puts it away. */
export function chooseTool(tool) {
  if (!state.report || state.study) return;
  points = [];
  dragging = false;
  state.tool = state.tool === tool ? null : tool;
  if (state.tool) Object.assign(state, { region: -1, corner: null });
  document.body.classList.toggle("drawing", Boolean(state.tool));
  element("drawing").hidden = !state.tool;
  element("drawing-help").textContent = state.tool ? HELP[state.tool] : "";
  element("brush-row").hidden = state.tool !== "brush";
  element("drawing-close").hidden = state.tool !== "polygon";
  if (state.tool) element("slide").focus({ preventScroll: true });
  emit("tool");
}

/** Draw what is left out in place of what is counted in, and the other way round. */
export function switchUse() {
  element("region-use").value = use() === "within" ? "exclude" : "within";
}

/** What is being drawn, for the overlay. */
export const draft = () => ({ points, width: brushWidth() });

/** Choose a region, whose corners can then be moved; -1 for none. */
export function chooseRegion(index) {
  if (state.tool) chooseTool(state.tool);
  Object.assign(state, { region: index, corner: null });
  emit("tool");
}

/** Delete the corner that is chosen, else the region. */
function removeChosen() {
  const { region, corner } = state;
  if (region < 0) return;
  if (corner && state.regions[region].polygons[corner.polygon][corner.ring].length > 4) {
    changeCorner(region, corner, (corners) => corners.toSpliced(corner.index, 1));
    state.corner = null;
  } else removeRegion(region);
}

/** Delete a region. */
export function removeRegion(index) {
  Object.assign(state, { region: -1, corner: null });
  return changeRegions((regions) => regions.toSpliced(index, 1));
}

const brushWidth = () => Number(element("brush-size").value) / (state.report?.slide.mpp ?? 1);
const use = () => element("region-use").value;
const rounded = ({ x, y }) => /** @type {[number, number]} */ ([Math.round(x * 100) / 100, Math.round(y * 100) / 100]);
const apart = ([x1, y1], [x2, y2]) => Math.hypot(x1 - x2, y1 - y2) * frame().zoom;

function changeCorner(region, at, change) {
  return changeRegions((regions) => regions.with(region, withRing(regions[region], at, change)));
}

/** Put the next corner; a polygon that comes back to its first is closed. */
function putPoint(point) {
  if (state.tool === "brush") {
    points = [point];
    return finish();
  }
  if (state.tool === "polygon" && points.length > 2 && apart(point, points[0]) < NEAR_PX) return finish();
  points = [...points, point];
  if (state.tool === "rectangle" && points.length === 2) return finish();
  emit("tool");
}

/** Keep what was drawn. */
function finish() {
  const { tool } = state;
  const corners = tool === "polygon" ? points.filter((point, i) => !i || apart(point, points[i - 1]) > SAME_PX) : points;
  const drawn = use();
  points = [];
  emit("tool");
  if (tool === "brush") return corners.length && changeRegions((regions) => regions, { use: drawn, points: corners, width: brushWidth() });
  if (tool === "rectangle") {
    const [[x1, y1], [x2, y2]] = [corners[0], corners.at(-1)];
    if (Math.abs(x1 - x2) * frame().zoom < SAME_PX || Math.abs(y1 - y2) * frame().zoom < SAME_PX) return;
    return changeRegions((regions) => [...regions, regionOf(drawn, [[x1, y1], [x2, y1], [x2, y2], [x1, y2]])]);
  }
  if (corners.length < 3) return toast("A region needs three corners at least.");
  return changeRegions((regions) => [...regions, regionOf(drawn, corners)]);
}

const at = (event) => rounded(placeAt(event.position.x, event.position.y));

/** The corner of the chosen region under a point, or the middle of a side there, at which a corner is then put. */
function cornerAt(point) {
  const region = state.regions[state.region];
  if (!region) return null;
  for (const middles of [false, true]) {
    for (const [polygon, rings] of region.polygons.entries()) {
      for (const [ring, corners] of rings.entries()) {
        for (let index = 0; index < corners.length - 1; index++) {
          const [a, b] = [corners[index], corners[index + 1]];
          const place = middles ? /** @type {[number, number]} */ ([(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]) : a;
          if (apart(point, place) < NEAR_PX) return { polygon, ring, index: middles ? index + 1 : index, between: middles };
        }
      }
    }
  }
  return null;
}

viewer.addHandler("canvas-press", (event) => {
  const point = at(event);
  dragging = state.tool === "rectangle" || state.tool === "brush";
  if (dragging && !(state.tool === "rectangle" && points.length)) points = [point];
  const found = state.tool ? null : cornerAt(point);
  if (!found && state.corner && !state.tool) {
    state.corner = null; // the next click chooses a figure again
    emit("tool");
  }
  if (!found) return;
  grabbed = found;
  if (found.between) move(point, found, 0);
  state.corner = found;
  emit("tool");
});
viewer.addHandler("canvas-drag", (event) => {
  if (grabbed) move(at(event), grabbed, 1);
  else if (!dragging) return;
  else if (state.tool === "brush") {
    if (apart(at(event), points.at(-1)) > SAME_PX / 2) points.push(at(event));
  } else points = [points[0], at(event)];
  event.preventDefaultAction = true;
  emit("tool");
});
viewer.addHandler("canvas-drag-end", (event) => {
  if (grabbed || dragging) event.preventDefaultAction = true;
});
viewer.addHandler("canvas-release", () => {
  if (grabbed) {
    const [moved, chosen] = [state.moved, state.region];
    grabbed = null;
    state.moved = null;
    if (moved) changeRegions((regions) => (chosen in regions ? regions.with(chosen, moved) : regions));
  } else if (dragging && points.length && (state.tool === "brush" || points.length > 1)) finish();
  dragging = false;
});
viewer.addHandler("canvas-click", (event) => {
  if (state.tool === "polygon" && event.quick) putPoint(at(event));
});
viewer.addHandler("canvas-double-click", (event) => {
  if (!state.tool) return;
  event.preventDefaultAction = true;
  if (state.tool === "polygon" && points.length > 2) finish();
});

/** Where the chosen region would be with a corner at another place; `drop` is how many corners that replaces. */
function move(point, corner, drop) {
  const region = state.moved ?? state.regions[state.region];
  state.moved = withRing(region, corner, (corners) => corners.toSpliced(corner.index, drop, point));
}

/** Choose the corner `step` places on, of the region that is chosen. */
export function nextCorner(step) {
  if (state.region < 0) return;
  const ring = state.regions[state.region].polygons[state.corner?.polygon ?? 0][state.corner?.ring ?? 0];
  const count = ring.length - 1;
  const index = (((state.corner?.index ?? -step) + step) % count + count) % count;
  state.corner = { polygon: state.corner?.polygon ?? 0, ring: state.corner?.ring ?? 0, index };
  emit("tool");
}

function moveCorner(across, down) {
  if (!state.corner) nextCorner(1);
  const { corner, region } = state;
  const step = MOVE_PX / frame().zoom;
  changeCorner(region, corner, (corners) => corners.with(corner.index, rounded({ x: corners[corner.index][0] + across * step, y: corners[corner.index][1] + down * step })));
}

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Whether a key did something for what is being drawn or is chosen. */
function press(event) {
  const { key } = event;
  if (state.tool) {
    if (key === "Enter") putPoint(rounded(position()));
    else if (key === "Escape" && points.length) points = [];
    else if (key === "Escape") chooseTool(state.tool);
    else if (key === "Backspace" && points.length) points = points.slice(0, -1);
    else return false;
    emit("tool");
    return true;
  }
  if (state.region < 0) return false;
  if (key === "Delete" || key === "Backspace") removeChosen();
  else if (key === "Escape") chooseRegion(-1);
  else if (event.altKey && MOVES[key]) moveCorner(MOVES[key][0], MOVES[key][1]);
  else return false;
  return true;
}

addEventListener(
  "keydown",
  (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (!state.report || isAtWorklist() || document.querySelector("dialog[open]")) return;
    if (target.matches("input, select, textarea") || (event.key === "Enter" && target.matches("button, a"))) return;
    if (!press(event)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  { capture: true },
);

on("opened", () => {
  element("region-tools").hidden = !state.report;
  if (state.tool) chooseTool(state.tool);
  Object.assign(state, { region: -1, corner: null, moved: null });
});
on("screen", () => state.tool && chooseTool(state.tool));
for (const tool of Object.keys(HELP)) element(`tool-${tool}`).addEventListener("click", () => chooseTool(tool));
element("drawing-close").addEventListener("click", () => (points.length > 2 ? finish() : toast("A region needs three corners at least.")));
element("drawing-end").addEventListener("click", () => chooseTool(state.tool));
