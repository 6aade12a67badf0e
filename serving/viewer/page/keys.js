// Every key, in one table: the help page is made of it.

import { nudgeField, placeField } from "../count/field.js";
import { nextWindow } from "../count/header.js";
import { setThreshold } from "../count/threshold.js";
import { atypiaModel, showAtypicalOnly } from "../lib/atypia.js";
import { element, make } from "../lib/dom.js";
import { state } from "../lib/state.js";
import { toast } from "../lib/toast.js";
import { toggle } from "../map/layers.js";
import { viewer } from "../map/slide.js";
import { selectNext, selectUnjudged } from "../review/selection.js";
import { chooseTool, nextCorner, switchUse } from "../regions/drawing.js";
import { drewLast, undoRegions } from "../regions/regions.js";
import { toggleTape } from "../tape/tape.js";
import { addFigure, judge, relabel, undo } from "../review/verdicts.js";
import { copyLink } from "./links.js";
import { isAtSlide, switchScreen } from "./screens.js";

const PAN = 0.15;
const pan = (x, y) => {
  const bounds = viewer.viewport.getBounds();
  viewer.viewport.panBy(new window.OpenSeadragon.Point(x * bounds.width * PAN, y * bounds.height * PAN));
};
const zoom = (factor) => viewer.viewport.zoomBy(factor);
const takeBack = () => (drewLast() ? undoRegions() : undo());
const OFF = "mitoserve-letters-off";

/** @type {[string, string, Record<string, () => void>][]} Keys as the help names them, what they do, and the actions. */
const KEYS = [
  ["← → ↑ ↓", "move the slide", { ArrowLeft: () => pan(-1, 0), ArrowRight: () => pan(1, 0), ArrowUp: () => pan(0, -1), ArrowDown: () => pan(0, 1) }],
  ["+ −", "zoom", { "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5) }],
  ["0", "whole slide", { 0: () => viewer.viewport.goHome() }],
  ["G", "next hotspot", { g: nextWindow }],
  ["J K", "next and previous object of the window", { j: () => selectNext(1), k: () => selectNext(-1) }],
  ["U", "next figure without a verdict", { u: () => selectUnjudged() || toast("All figures of this window are judged.") }],
  ["A R", "accept, reject what is chosen, and go on", { a: () => judge("accept"), r: () => judge("reject") }],
  ["1 – 5", "label what is chosen, and go on", Object.fromEntries([1, 2, 3, 4, 5].map((n) => [n, () => relabel(n)]))],
  ["N", "add a figure where the pointer is, else in the middle", { n: addFigure }],
  ["Ctrl+Z", "take back the last verdict or drawing", { z: takeBack }],
  ["[ ]", "lower, raise the threshold", { "[": () => setThreshold(state.threshold - 0.01), "]": () => setThreshold(state.threshold + 0.01) }],
  ["E S W", "draw where to count: polygon, rectangle, brush", { e: () => chooseTool("polygon"), s: () => chooseTool("rectangle"), w: () => chooseTool("brush") }],
  ["O", "draw what is left out in place of what is counted in, and back", { o: switchUse }],
  ["Enter Esc", "while drawing: put a corner in the middle, stop", {}],
  [", .", "previous, next corner of the region that is chosen; Alt and arrows move it, Delete takes it away", { ",": () => nextCorner(-1), ".": () => nextCorner(1) }],
  ["V", "measure a distance; Enter puts an end in the middle, Esc removes it", { v: toggleTape }],
  ["F", "place the field in the middle", { f: () => placeField() }],
  ["Shift + arrows", "move the field", { ShiftArrowLeft: () => nudgeField(-0.1, 0), ShiftArrowRight: () => nudgeField(0.1, 0), ShiftArrowUp: () => nudgeField(0, -0.1), ShiftArrowDown: () => nudgeField(0, 0.1) }],
  ["M D X H T Q B", "map, detections, possible ones, hotspots, tiles, tissue, quality", { m: () => toggle("map"), x: () => toggle("possible"), d: () => toggle("detections"), h: () => toggle("hotspots"), t: () => toggle("tiles"), q: () => toggle("tissue"), b: () => toggle("quality") }],
  ["Y", "atypical figures only, and all again", { y: () => (atypiaModel() ? showAtypicalOnly(!state.atypicalOnly) : toast("The models of this analysis do not say which figures are atypical.")) }],
  ["L", "worklist, and back to the slide", { l: switchScreen }],
  ["P", "findings", { p: () => element("toggle-panel").click() }],
  ["C", "copy a link to this position", { c: copyLink }],
  ["?", "this help", { "?": () => element("help").showModal() }],
];
const actions = Object.assign({}, ...KEYS.map(([, , keys]) => keys));

/** Whether a key is a letter, a digit or a sign alone, which somebody who speaks to the machine may hit by accident. */
const isLetter = (key) => key.length === 1;
const lettersOff = () => localStorage.getItem(OFF) === "yes";

addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const target = /** @type {HTMLElement} */ (event.target);
  if (target.matches("input:not([type=range], [type=checkbox]), select, textarea")) return;
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "z") {
    event.preventDefault();
    if (state.report && isAtSlide()) takeBack();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = event.key.startsWith("Arrow");
  if (arrow && target.matches("input[type=range], [role=tab]")) return;
  if (isLetter(event.key) && lettersOff()) return;
  const action = actions[arrow && event.shiftKey ? `Shift${event.key}` : isLetter(event.key) ? event.key.toLowerCase() : event.key];
  if (!action || (!isAtSlide() && !"lL?".includes(event.key))) return;
  event.preventDefault();
  action();
});

element("keys").replaceChildren(
  ...KEYS.flatMap(([keys, what]) => [
    make("dt", {}, ...keys.split(" ").flatMap((key) => [make("kbd", { textContent: key }), " "])),
    make("dd", { textContent: what }),
  ]),
);
element("letters-off").checked = lettersOff();
element("letters-off").addEventListener("change", () => localStorage.setItem(OFF, element("letters-off").checked ? "yes" : "no"));
element("help-open").addEventListener("click", () => element("help").showModal());
element("zoom-in").addEventListener("click", () => zoom(1.5));
element("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
element("zoom-home").addEventListener("click", () => viewer.viewport.goHome());
