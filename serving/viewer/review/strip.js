// The objects of the window that is counted, each in a picture that is large enough to judge it by.

import { atypiaModel, isAtypicalId } from "../lib/atypia.js";
import { element, make, refill } from "../lib/dom.js";
import { Pictures } from "../lib/pictures.js";
import { currentWindow, objectOf, on, ownLabel, ownVerdict, state } from "../lib/state.js";
import { compared, readerNames } from "../signoff/stage.js";
import { isFigure, select, selectUnjudged, shownObjects, windowObjects } from "./selection.js";
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
  // As many as the count after review says, but for verdicts of others.
  disagreements: () => true,
  atypical: (id) => isAtypicalId(id) && (ownVerdict(id) ?? isFigure(id)),
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
  const filter = element("strip-filter");
  filter.querySelector("[value=atypical]").hidden = !atypiaModel();
  if (filter.value === "atypical" && !atypiaModel()) filter.value = "all";
  if (cardsOf !== state.candidates) {
    cardsOf = state.candidates;
    cards = new Map();
  }
  const ids = windowObjects();
  const shown = shownObjects().filter(FILTERS[filter.value]);
  for (const id of shown) if (!cards.has(id)) cards.set(id, card(id));
  const wanted = shown.map((id) => cards.get(id));
  if (wanted.length !== list.children.length || wanted.some((entry, i) => entry !== list.children[i])) refill(list, wanted);
  const judged = ids.filter((id) => isFigure(id) && ownLabel(id) !== undefined).length;
  const figures = ids.filter(isFigure).length;
  element("strip-note").textContent = filter.value === "disagreements" ? disagreementsText(shown) : `${currentWindow()?.name ?? "No window"}: ${judged} of ${figures} judged, ${ids.length - figures} possible`;
  mark();
}

function card(id) {
  const canvas = pictures.canvas();
  canvas.dataset.id = id;
  const button = make("button", { dataset: { id, key: id } }, canvas, make("span", { className: "caption" }), make("span", { className: "verdict" }), make("span", { className: "both" }), make("span", { className: "atypical-mark", textContent: "atypical" }));
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
    button.querySelector(".both").textContent = bothText(id);
    const atypical = isAtypicalId(id);
    button.querySelector(".atypical-mark").toggleAttribute("hidden", !atypical);
    button.classList.toggle("possible", possible);
    button.classList.toggle("verdict-yes", verdict === true);
    button.classList.toggle("verdict-no", verdict === false);
    button.setAttribute("aria-current", String(id === state.selected));
    button.setAttribute("aria-label", `${possible ? "Possible figure" : "Figure"}, ${what}${atypical ? ", atypical" : ""}: ${label ?? "not judged"}`);
    if (id === state.selected) button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}

function disagreementsText(shown) {
  const left = shown.filter((id) => !compared(id)?.consensus).length;
  return shown.length ? `Both readers differ on ${shown.length} of the slide; ${left} to decide` : "Both readers agree on every object.";
}

/** What both readers call an object on which they differ. */
function bothText(id) {
  const said = compared(id);
  if (!said || said.agreed) return "";
  return readerNames().map((name, i) => `${name}: ${[said.first, said.second][i] ?? "nothing"}`).join(" · ");
}

for (const name of /** @type {const} */ (["opened", "counts", "window", "reviews", "threshold", "comparing"])) on(name, show);
on("selected", mark);
element("strip-filter").addEventListener("change", show);
on("atypical", () => {
  element("strip-filter").value = state.atypicalOnly ? "atypical" : "all";
  show();
});
element("strip-accept").addEventListener("click", () => judge("accept"));
element("strip-reject").addEventListener("click", () => judge("reject"));
element("strip-undo").addEventListener("click", undo);
element("strip-next").addEventListener("click", () => {
  if (!selectUnjudged()) element("strip-note").textContent = windowObjects().some(isFigure) ? "All figures of this window are judged." : "This window holds no figure.";
});
