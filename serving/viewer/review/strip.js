// The objects of the window that is counted, each in a picture that is large enough to judge it by.

import { element, make, refill } from "../lib/dom.js";
import { Pictures } from "../lib/pictures.js";
import { currentWindow, objectOf, on, ownLabel, ownVerdict, state } from "../lib/state.js";
import { isFigure, select, selectUnjudged, windowObjects } from "./selection.js";
import { judge, undo } from "./verdicts.js";

const SHOWN_UM = 32;
const PICTURE_PX = 144;
const FILTERS = {
  all: () => true,
  unjudged: (id) => isFigure(id) && ownLabel(id) === undefined,
  figures: isFigure,
  possible: (id) => !isFigure(id),
  accepted: (id) => ownVerdict(id) === true,
  rejected: (id) => ownVerdict(id) === false,
};
const list = element("strip-list");
/** @type {Map<string, HTMLElement>} Kept, so that a picture is fetched once. */
let cards = new Map();
let cardsOf = null;

const pictures = new Pictures(
  (canvas) => {
    const object = objectOf(canvas.dataset.id);
    return object && state.report && !state.slide.deleted ? { slide: state.slide.id, ...state.report.slide, object } : null;
  },
  { shownUm: SHOWN_UM, px: PICTURE_PX, root: list },
);

function show() {
  element("strip").hidden = !state.report;
  if (!state.report || !state.counts) return;
  if (cardsOf !== state.candidates) {
    cardsOf = state.candidates;
    cards = new Map();
  }
  const ids = windowObjects();
  const shown = ids.filter(FILTERS[element("strip-filter").value]);
  for (const id of shown) if (!cards.has(id)) cards.set(id, card(id));
  const wanted = shown.map((id) => cards.get(id));
  if (wanted.length !== list.children.length || wanted.some((entry, i) => entry !== list.children[i])) refill(list, wanted);
  const judged = ids.filter((id) => isFigure(id) && ownLabel(id) !== undefined).length;
  const figures = ids.filter(isFigure).length;
  element("strip-note").textContent = `${currentWindow()?.name ?? "No window"}: ${judged} of ${figures} judged, ${ids.length - figures} possible`;
  mark();
}

function card(id) {
  const canvas = pictures.canvas();
  canvas.dataset.id = id;
  const button = make("button", { dataset: { id, key: id } }, canvas, make("span", { className: "caption" }), make("span", { className: "verdict" }));
  button.addEventListener("click", () => select(id));
  return button;
}

function mark() {
  for (const button of /** @type {Iterable<HTMLElement>} */ (list.children)) {
    const { id } = button.dataset;
    const object = objectOf(id);
    if (!object) continue;
    const label = ownLabel(id);
    const verdict = ownVerdict(id);
    const possible = !isFigure(id);
    const what = object.probability === undefined ? "added" : `${possible ? "possible " : ""}${object.probability.toFixed(2)}`;
    button.querySelector(".caption").textContent = what;
    Object.assign(button.querySelector(".verdict"), { textContent: label ?? "", title: label ?? "" });
    button.classList.toggle("possible", possible);
    button.classList.toggle("verdict-yes", verdict === true);
    button.classList.toggle("verdict-no", verdict === false);
    button.setAttribute("aria-current", String(id === state.selected));
    button.setAttribute("aria-label", `${possible ? "Possible figure" : "Figure"}, ${what}: ${label ?? "not judged"}`);
    if (id === state.selected) button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}

for (const name of /** @type {const} */ (["opened", "counts", "window", "reviews", "threshold"])) on(name, show);
on("selected", mark);
element("strip-filter").addEventListener("change", show);
element("strip-accept").addEventListener("click", () => judge("accept"));
element("strip-reject").addEventListener("click", () => judge("reject"));
element("strip-undo").addEventListener("click", undo);
element("strip-next").addEventListener("click", () => {
  if (!selectUnjudged()) element("strip-note").textContent = windowObjects().some(isFigure) ? "All figures of this window are judged." : "This window holds no figure.";
});
