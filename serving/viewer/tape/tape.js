// The measuring tape: the distance between two places of the slide, by mouse or by keys.

import { element } from "../lib/dom.js";
import { on, state } from "../lib/state.js";
import { frame, placeAt, position, viewer } from "../map/slide.js";
import { isAtWorklist } from "../page/screens.js";
import { chooseTool } from "../regions/drawing.js";
import { distanceText } from "./distance.js";

/** @type {{ x: number, y: number }[]} The ends, level-0 px: the first, and the second once it is put. */
let ends = [];
/** @type {{ x: number, y: number } | null} Where the pointer is, while the second end is to be put. */
let pointer = null;

const HELP = "Click both ends, or press Enter to put one at the cross in the middle. Escape removes it.";

/** Take the tape, or put it away. */
export function toggleTape() {
  if (!state.slide || !viewer.isOpen()) return;
  if (!state.measuring && state.tool) chooseTool(state.tool);
  setMeasuring(!state.measuring);
}

function setMeasuring(measuring) {
  state.measuring = measuring;
  ends = [];
  pointer = null;
  document.body.classList.toggle("measuring", measuring);
  element("tool-tape").setAttribute("aria-pressed", String(measuring));
  element("tape").hidden = !measuring;
  if (measuring) element("slide").focus({ preventScroll: true });
  show();
}

/** Put an end; the third one begins anew. */
function put(place) {
  ends = ends.length === 1 ? [ends[0], place] : [place];
  pointer = null;
  show();
}

const resolution = () => state.report?.slide.mpp ?? state.slide?.mpp;

function show() {
  const said = ends.length === 2 ? distanceText(ends[0], ends[1], resolution()) : "";
  element("tape-said").textContent = said || (ends.length ? "Now the other end." : HELP);
  draw();
}

/** Draw the tape where it lies now. */
function draw() {
  if (!state.measuring || !viewer.isOpen()) return;
  const at = frame();
  const onScreen = ({ x, y }) => ({ x: at.left + x * at.zoom, y: at.top + y * at.zoom });
  const middle = element("stage").getBoundingClientRect();
  const last = ends[1] ?? (ends.length ? pointer : null);
  const points = [...ends.slice(0, 1), ...(last ? [last] : [])].map(onScreen);
  for (const id of ["tape-halo", "tape-line"]) {
    const line = element(id);
    line.toggleAttribute("hidden", points.length < 2);
    if (points.length < 2) continue;
    for (const [i, { x, y }] of points.entries()) {
      line.setAttribute(`x${i + 1}`, x);
      line.setAttribute(`y${i + 1}`, y);
    }
  }
  for (const [i, id] of ["tape-first", "tape-second"].entries()) {
    element(id).toggleAttribute("hidden", !points[i]);
    if (points[i]) element(id).setAttribute("transform", `translate(${points[i].x} ${points[i].y})`);
  }
  element("tape-cross").setAttribute("transform", `translate(${middle.width / 2} ${middle.height / 2})`);
  element("tape-cross").toggleAttribute("hidden", ends.length === 2);
  const text = element("tape-text");
  text.toggleAttribute("hidden", points.length < 2);
  if (points.length < 2) return;
  text.textContent = distanceText(ends[0], last, resolution());
  text.setAttribute("x", (points[0].x + points[1].x) / 2);
  text.setAttribute("y", (points[0].y + points[1].y) / 2 - 10);
}

viewer.addHandler("canvas-click", (event) => {
  if (state.measuring && event.quick) put(placeAt(event.position.x, event.position.y));
});
viewer.addHandler("canvas-double-click", (event) => {
  if (state.measuring) event.preventDefaultAction = true;
});
element("stage").addEventListener("pointermove", (event) => {
  if (!state.measuring || ends.length !== 1) return;
  const corner = element("stage").getBoundingClientRect();
  pointer = placeAt(event.clientX - corner.left, event.clientY - corner.top);
  draw();
});
addEventListener(
  "keydown",
  (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (!state.measuring || isAtWorklist() || document.querySelector("dialog[open]") || target.matches("input, select, textarea")) return;
    if (event.key === "Escape") {
      if (ends.length) {
        ends = [];
        show();
      } else setMeasuring(false);
    } else if (event.key === "Enter" && !target.matches("button, a")) put(position());
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  { capture: true },
);
for (const name of /** @type {const} */ (["update-viewport", "resize", "open"])) viewer.addHandler(name, draw);

/** There is something to measure on once the slide is open. */
function enable() {
  element("tool-tape").disabled = !state.slide || Boolean(state.slide.deleted) || !viewer.isOpen();
}

viewer.addHandler("open", enable);
let measured = null; // id of the slide that the tape lies on
on("opened", () => {
  enable();
  if (state.measuring && measured !== state.slide?.id) setMeasuring(false);
  measured = state.slide?.id;
  show();
});
on("tool", () => state.tool && state.measuring && setMeasuring(false));
element("tool-tape").addEventListener("click", toggleTape);
element("tape-end").addEventListener("click", () => setMeasuring(false));
