// Regions on the slide: what is counted in has a green line and the rest is darker, what is left out is hatched.

import { state } from "../lib/state.js";
import { position } from "../map/slide.js";
import { draft } from "./drawing.js";

const COLOURS = { within: "#009e73", exclude: "#8a3b00", handle: "#fff", chosen: "#ffb000" };
const SHADE = "rgb(20 24 34 / 30%)";
const HATCH_PX = 9;
const MOST_HANDLES = 400;
const HANDLE_PX = 4;

/** Paint all regions and what is being drawn. `at` : where level-0 (0, 0) is on the screen, and the zoom. */
export function paintRegions(context, at, size) {
  const shown = state.regions.map((region, i) => (i === state.region && state.moved ? state.moved : region));
  const within = shown.filter(({ use }) => use === "within");
  context.save();
  if (within.length) shadeAround(context, at, within, size);
  for (const region of shown.filter(({ use }) => use === "exclude")) hatch(context, at, region, size);
  for (const [i, region] of shown.entries()) outline(context, at, region, i === state.region);
  const chosen = shown[state.region];
  if (chosen) paintHandles(context, at, chosen);
  if (state.tool) paintDraft(context, at);
  context.restore();
}

function trace(context, at, { polygons }) {
  for (const ring of polygons.flat()) {
    ring.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](at.left + x * at.zoom, at.top + y * at.zoom));
    context.closePath();
  }
}

/** What is not counted in is darker; regions that overlap are cut out one by one. */
function shadeAround(context, at, regions, { width, height }) {
  context.save();
  for (const region of regions) {
    context.beginPath();
    context.rect(0, 0, width, height);
    trace(context, at, region);
    context.clip("evenodd");
  }
  context.fillStyle = SHADE;
  context.fillRect(0, 0, width, height);
  context.restore();
}

function hatch(context, at, region, { width, height }) {
  context.save();
  context.beginPath();
  trace(context, at, region);
  context.clip("evenodd");
  context.fillStyle = SHADE;
  context.fillRect(0, 0, width, height);
  context.beginPath();
  for (let x = -height; x < width; x += HATCH_PX) {
    context.moveTo(x, height);
    context.lineTo(x + height, 0);
  }
  context.lineWidth = 1;
  context.strokeStyle = "rgb(255 255 255 / 55%)";
  context.stroke();
  context.restore();
}

function outline(context, at, region, chosen) {
  context.beginPath();
  trace(context, at, region);
  context.lineJoin = "round";
  context.setLineDash(region.use === "exclude" ? [9, 5] : []);
  context.lineWidth = chosen ? 7 : 5;
  context.strokeStyle = "rgb(255 255 255 / 85%)";
  context.stroke();
  context.lineWidth = chosen ? 4 : 2.5;
  context.strokeStyle = COLOURS[region.use];
  context.stroke();
  context.setLineDash([]);
}

function paintHandles(context, at, region) {
  const rings = region.polygons.flatMap((parts, polygon) => parts.map((corners, ring) => ({ corners, polygon, ring })));
  const count = rings.reduce((sum, { corners }) => sum + corners.length, 0);
  for (const { corners, polygon, ring } of rings) {
    corners.slice(0, -1).forEach(([x, y], index) => {
      const chosen = state.corner?.polygon === polygon && state.corner.ring === ring && state.corner.index === index;
      if (count > MOST_HANDLES && !chosen) return;
      const half = chosen ? HANDLE_PX * 1.7 : HANDLE_PX;
      context.fillStyle = chosen ? COLOURS.chosen : COLOURS.handle;
      context.strokeStyle = "#1d2433";
      context.lineWidth = 1.5;
      context.beginPath();
      context.rect(at.left + x * at.zoom - half, at.top + y * at.zoom - half, 2 * half, 2 * half);
      context.fill();
      context.stroke();
    });
  }
}

function paintDraft(context, at) {
  const { points, width } = draft();
  /** @returns {[number, number]} */
  const place = ([x, y]) => [at.left + x * at.zoom, at.top + y * at.zoom];
  context.strokeStyle = COLOURS.chosen;
  context.fillStyle = COLOURS.chosen;
  if (points.length) {
    const [first, ...rest] = points.map(place);
    context.beginPath();
    if (state.tool === "rectangle" && rest.length) context.rect(first[0], first[1], rest.at(-1)[0] - first[0], rest.at(-1)[1] - first[1]);
    else {
      context.moveTo(first[0], first[1]);
      for (const [x, y] of rest) context.lineTo(x, y);
      if (!rest.length) context.lineTo(first[0], first[1] + 0.1);
    }
    context.lineCap = "round";
    context.lineJoin = "round";
    context.globalAlpha = state.tool === "brush" ? 0.5 : 1;
    context.lineWidth = state.tool === "brush" ? Math.max(width * at.zoom, 2) : 3;
    context.stroke();
    context.globalAlpha = 1;
    if (state.tool !== "brush") for (const [x, y] of [first, ...rest]) context.fillRect(x - HANDLE_PX, y - HANDLE_PX, 2 * HANDLE_PX, 2 * HANDLE_PX);
  }
  paintCross(context, place([position().x, position().y]));
}

/** The place at which Enter draws. */
function paintCross(context, [x, y]) {
  context.beginPath();
  for (const [across, down] of [[12, 0], [0, 12]]) {
    context.moveTo(x - across, y - down);
    context.lineTo(x + across, y + down);
  }
  context.lineWidth = 3;
  context.strokeStyle = "rgb(255 255 255 / 85%)";
  context.stroke();
  context.lineWidth = 1.5;
  context.strokeStyle = "#1d2433";
  context.stroke();
}
