// What is drawn over the slide: map, tissue, tiles, hotspots, field, candidates. All of it again at every frame.

import { element } from "../lib/dom.js";
import { fieldWindow } from "../count/field.js";
import { frame, visible, viewer, drawScale } from "./slide.js";
import { paintRegions } from "../regions/painting.js";
import { currentWindow, on, over, ownVerdict, state } from "../lib/state.js";

const MOST_BOXES = 1500; // beyond it, and below a zoom at which a figure is some px wide, clusters stand for them
const BOX_ZOOM = 0.12;
const CLUSTER_PX = 64;
const FAR_UM = 4; // per px of the screen: from here on the map is as strong as it gets
const NEAR_UM = 0.5; // 20x: here figures are judged, and the map is gone
const TILE_TEXT_PX = 150;
const COLOURS = { figure: "#00e0ff", rejected: "#ff5a5f", accepted: "#3ddc84", hotspot: "#0072b2", field: "#ffb000", tile: "rgb(29 36 51 / 55%)", possible: "#9aa0ac" };

const canvas = element("overlay");
const context = canvas.getContext("2d");
let wanted = false;

for (const name of /** @type {const} */ (["update-viewport", "resize", "open"])) viewer.addHandler(name, draw);
for (const name of /** @type {const} */ (["opened", "threshold", "counts", "window", "selected", "field", "reviews", "layers", "regions", "tool", "preliminary"])) on(name, later);

/** Draw at the next frame, once, however often it is asked for. */
function later() {
  if (wanted) return;
  wanted = true;
  requestAnimationFrame(() => {
    wanted = false;
    draw();
  });
}

/** Draw everything as it lies now. */
export function draw() {
  if (!state.slide || !viewer.isOpen()) return;
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  drawScale();
  const at = frame();
  const early = state.report ? null : state.preliminary?.hotspot;
  if (early) drawWindow(at, early, COLOURS.hotspot, `preliminary · ${early.mitotic_figures}`);
  if (!state.report) return;
  const seen = visible();
  paintRegions(context, at, { width, height });
  const share = mapShare(state.report.slide.mpp / at.zoom);
  element("legend").classList.toggle("faded", share === 0); // of colours that nobody sees
  if (state.layers.map && state.map && share > 0) drawMap(at, share);
  if (state.layers.tissue) drawTissue(at);
  if (state.layers.quality && state.mask) drawSheet(at, state.mask.reasons);
  if (state.layers.tiles) drawTiles(at, seen);
  if (state.layers.hotspots) drawWindows(at);
  if (state.layers.detections) drawCandidates(at, seen);
  if (state.layers.detections && at.zoom >= BOX_ZOOM) drawOutside(at, seen);
  drawAdded(at);
  const field = fieldWindow();
  if (field) drawWindow(at, field, COLOURS.field, "field");
}

function drawMap(at, share) {
  const box = state.map.box;
  context.save();
  const { width, height } = state.report.slide;
  context.beginPath();
  context.rect(at.left, at.top, width * at.zoom, height * at.zoom);
  context.clip();
  context.globalAlpha = state.opacity * share;
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(state.map.canvas, at.left + box.x * at.zoom, at.top + box.y * at.zoom, box.width * at.zoom, box.height * at.zoom);
  context.restore();
}

/** How much of the map's opacity is left at a scale, µm per px of the screen: it fades on the way to 20x, where figures must be seen. */
function mapShare(um) {
  return Math.min(Math.max(Math.log(um / NEAR_UM) / Math.log(FAR_UM / NEAR_UM), 0), 1);
}

/** The hotspots; where what is counted is one of the figures after review, that one. */
function drawWindows(at) {
  state.counts?.hotspots.forEach((window, i) => drawWindow(at, window, COLOURS.hotspot, String(i + 1)));
  const current = state.window.startsWith("review-") ? currentWindow() : null;
  if (current) drawWindow(at, current.window, COLOURS.accepted, "after review");
}

/** Tissue is blue, what was not scored is grey. */
function drawTissue(at) {
  const { width, height } = state.report.slide;
  context.save();
  context.fillStyle = "rgb(60 60 70 / 28%)";
  context.beginPath();
  context.rect(at.left, at.top, width * at.zoom, height * at.zoom);
  for (const tile of state.report.tiles) context.rect(at.left + (tile.x + tile.width) * at.zoom, at.top + tile.y * at.zoom, -tile.width * at.zoom, tile.height * at.zoom);
  context.fill("evenodd");
  context.restore();
  if (state.mask) drawSheet(at, state.mask.tissue);
}

/** A picture of the whole slide. */
function drawSheet(at, sheet) {
  const { width, height } = state.report.slide;
  context.drawImage(sheet, at.left, at.top, width * at.zoom, height * at.zoom);
}

function drawTiles(at, seen) {
  context.strokeStyle = COLOURS.tile;
  context.lineWidth = 1;
  context.font = "11px system-ui, sans-serif";
  for (const tile of tilesIn(seen)) {
    const [x, y] = [at.left + tile.x * at.zoom, at.top + tile.y * at.zoom];
    context.strokeRect(x, y, tile.width * at.zoom, tile.height * at.zoom);
    if (tile.width * at.zoom > TILE_TEXT_PX) label(`max ${tile.max_score.toFixed(2)} · ${tile.mitotic_count}`, x + 4, y + 4);
  }
}

function tilesIn(seen) {
  return state.report.tiles.filter((t) => t.x < seen.x + seen.width && t.x + t.width > seen.x && t.y < seen.y + seen.height && t.y + t.height > seen.y);
}

function drawWindow(at, window, colour, text) {
  const [x, y] = [at.left + window.x * at.zoom, at.top + window.y * at.zoom];
  const [width, height] = [window.width * at.zoom, window.height * at.zoom];
  context.beginPath();
  if (window.shape === "disc") context.ellipse(x + width / 2, y + height / 2, width / 2, height / 2, 0, 0, 2 * Math.PI);
  else if (window.parts) for (const [left, top, across, down] of window.parts) context.rect(at.left + left * at.zoom, at.top + top * at.zoom, across * at.zoom, down * at.zoom);
  else context.rect(x, y, width, height);
  context.lineWidth = 5;
  context.strokeStyle = "rgb(255 255 255 / 85%)";
  context.stroke();
  context.lineWidth = 2.5;
  context.strokeStyle = colour;
  context.stroke();
  context.font = "bold 13px system-ui, sans-serif";
  const small = viewer.navigator.element; // which would cover what is written
  const left = x < small.clientWidth && y < small.clientHeight ? small.clientWidth : 0;
  write(text, Math.max(x, left) + 7, Math.max(y, 0) + 18);
}

function drawCandidates(at, seen) {
  const count = over();
  const visibleOnes = at.zoom >= BOX_ZOOM ? state.candidates.within(seen, state.layers.possible ? state.candidates.list.length : count) : [];
  if (at.zoom >= BOX_ZOOM && visibleOnes.length <= MOST_BOXES) {
    for (const i of visibleOnes) drawBox(at, state.candidates.list[i]);
    const chosen = state.candidates.list[state.candidates.indexOf(state.selected)];
    if (chosen) drawBox(at, chosen);
    return;
  }
  // Squares of a power of two stay where they are while the slide moves, and are gathered once for many frames.
  const side = 2 ** Math.ceil(Math.log2(CLUSTER_PX / at.zoom));
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.font = "bold 11px system-ui, sans-serif";
  for (const cluster of state.candidates.clusters(side, count)) {
    if (cluster.x < seen.x || cluster.y < seen.y || cluster.x > seen.x + seen.width || cluster.y > seen.y + seen.height) continue;
    const [x, y] = [at.left + cluster.x * at.zoom, at.top + cluster.y * at.zoom];
    const radius = cluster.count === 1 ? 5 : Math.min(8 + 3 * Math.log2(cluster.count), 26);
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = "rgb(29 36 51 / 82%)";
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = COLOURS.figure;
    context.stroke();
    if (cluster.count > 1) {
      context.fillStyle = "#fff";
      context.fillText(cluster.count < 10000 ? cluster.count : `${Math.round(cluster.count / 1000)}k`, x, y);
    }
  }
  context.textAlign = "start";
  context.textBaseline = "alphabetic";
}

/** What lies outside the regions: small and grey, since it is not counted and not judged. */
function drawOutside(at, seen) {
  context.fillStyle = COLOURS.possible;
  context.strokeStyle = "#fff";
  context.lineWidth = 1;
  for (const found of state.outside) {
    const [x, y] = [found.x + found.width / 2, found.y + found.height / 2];
    if (x < seen.x || y < seen.y || x > seen.x + seen.width || y > seen.y + seen.height) continue;
    if (found.probability < state.threshold && !state.layers.possible) continue;
    context.beginPath();
    context.arc(at.left + x * at.zoom, at.top + y * at.zoom, 4, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}

function drawAdded(at) {
  for (const box of state.review?.added.values() ?? []) if (state.isCounted(box)) drawBox(at, box);
}

/** A box a little larger than the object, so that it does not cover what is looked at. */
function drawBox(at, object) {
  const verdict = ownVerdict(object.id);
  const possible = object.probability !== undefined && object.probability < state.threshold;
  const open = possible ? COLOURS.possible : COLOURS.figure;
  const colour = verdict === undefined ? open : verdict ? COLOURS.accepted : COLOURS.rejected;
  const room = 5 + 0.15 * object.width * at.zoom;
  const [x, y] = [at.left + object.x * at.zoom - room, at.top + object.y * at.zoom - room];
  const [width, height] = [object.width * at.zoom + 2 * room, object.height * at.zoom + 2 * room];
  const selected = object.id === state.selected;
  context.setLineDash(object.id.startsWith("added-") || possible ? [6, 4] : []);
  for (const [line, style] of [[selected ? 7 : 4, "rgb(20 24 34 / 75%)"], [selected ? 4 : 2, colour]]) {
    context.lineWidth = line;
    context.strokeStyle = style;
    context.strokeRect(x, y, width, height);
  }
  context.setLineDash([]);
  if (verdict === false) {
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + width, y + height);
    context.lineWidth = 2;
    context.stroke();
  }
  if (object.probability !== undefined && width > 44) {
    context.font = "11px system-ui, sans-serif";
    write(object.probability.toFixed(2), x, y - 5);
  }
}

function write(text, x, y) {
  context.lineWidth = 4;
  context.strokeStyle = "rgb(255 255 255 / 90%)";
  context.lineJoin = "round";
  context.strokeText(text, x, y);
  context.fillStyle = "#1d2433";
  context.fillText(text, x, y);
}

/** Words on a dark ground of their own, for what lies everywhere. */
function label(text, x, y) {
  context.fillStyle = "rgb(29 36 51 / 72%)";
  context.fillRect(x, y, context.measureText(text).width + 8, 16);
  context.fillStyle = "#fff";
  context.fillText(text, x + 4, y + 12);
}
