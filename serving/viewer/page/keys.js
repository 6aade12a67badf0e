// Every key, in one table: the help page is made of it.

import { element } from "../lib/dom.js";
import { goToHotspot, setThreshold } from "../count/counts.js";
import { nudgeField, placeField } from "../count/field.js";
import { selectNext } from "../review/gallery.js";
import { toggle } from "../map/layers.js";
import { copyLink } from "./links.js";
import { addFigure, judge, relabel, undo } from "../review/review.js";
import { viewer } from "../map/slide.js";
import { state } from "../lib/state.js";

const PAN = 0.15;
const pan = (x, y) => {
  const bounds = viewer.viewport.getBounds();
  viewer.viewport.panBy(new window.OpenSeadragon.Point(x * bounds.width * PAN, y * bounds.height * PAN));
};
const zoom = (factor) => viewer.viewport.zoomBy(factor);
const hotspot = { last: 0 };

/** @type {[string, string, Record<string, () => void>][]} Keys as the help names them, what they do, and the actions. */
const KEYS = [
  ["← → ↑ ↓", "move the slide", { ArrowLeft: () => pan(-1, 0), ArrowRight: () => pan(1, 0), ArrowUp: () => pan(0, -1), ArrowDown: () => pan(0, 1) }],
  ["+ −", "zoom", { "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5) }],
  ["0", "whole slide", { 0: () => viewer.viewport.goHome() }],
  ["G", "next hotspot", { g: nextHotspot }],
  ["J K", "next and previous candidate", { j: () => selectNext(1), k: () => selectNext(-1) }],
  ["A R", "accept, reject what is chosen", { a: () => judge("accept"), r: () => judge("reject") }],
  ["1 – 5", "label what is chosen", Object.fromEntries([1, 2, 3, 4, 5].map((n) => [n, () => relabel(n)]))],
  ["N", "add a figure where the pointer is, else in the middle", { n: addFigure }],
  ["Z", "undo", { z: undo }],
  ["[ ]", "lower, raise the threshold", { "[": () => setThreshold(state.threshold - 0.01), "]": () => setThreshold(state.threshold + 0.01) }],
  ["F", "place the field in the middle", { f: () => placeField() }],
  ["Shift + arrows", "move the field", { ShiftArrowLeft: () => nudgeField(-0.1, 0), ShiftArrowRight: () => nudgeField(0.1, 0), ShiftArrowUp: () => nudgeField(0, -0.1), ShiftArrowDown: () => nudgeField(0, 0.1) }],
  ["M D H T Q B", "map, detections, hotspots, tiles, tissue, quality", { m: () => toggle("map"), d: () => toggle("detections"), h: () => toggle("hotspots"), t: () => toggle("tiles"), q: () => toggle("tissue"), b: () => toggle("quality") }],
  ["L P", "slides, findings", { l: () => element("toggle-library").click(), p: () => element("toggle-panel").click() }],
  ["C", "copy a link to this position", { c: copyLink }],
  ["?", "this help", { "?": () => element("help").showModal() }],
];
const actions = Object.assign({}, ...KEYS.map(([, , keys]) => keys));

function nextHotspot() {
  const count = state.report?.hotspots.length ?? 0;
  if (!count) return;
  hotspot.last = (hotspot.last % count) + 1;
  goToHotspot(hotspot.last);
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const target = /** @type {Element} */ (event.target);
  if (target.matches("input:not([type=range], [type=checkbox]), select, textarea")) return;
  const arrow = event.key.startsWith("Arrow");
  if (arrow && target.matches("input[type=range], [role=tab]")) return;
  const action = actions[arrow && event.shiftKey ? `Shift${event.key}` : event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action || (!state.slide && !"lp?".includes(event.key))) return;
  event.preventDefault();
  action();
});

element("keys").replaceChildren(
  ...KEYS.flatMap(([keys, what]) => {
    const name = document.createElement("dt");
    name.append(...keys.split(" ").flatMap((key) => [Object.assign(document.createElement("kbd"), { textContent: key }), " "]));
    return [name, Object.assign(document.createElement("dd"), { textContent: what })];
  }),
);
element("help-open").addEventListener("click", () => element("help").showModal());
element("zoom-in").addEventListener("click", () => zoom(1.5));
element("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
element("zoom-home").addEventListener("click", () => viewer.viewport.goHome());
