// The candidates, likeliest first, each with a picture of about 64 µm around it.

import { atypiaModel, isAtypical, showAtypicalOnly } from "../lib/atypia.js";
import { element, make } from "../lib/dom.js";
import { Pictures } from "../lib/pictures.js";
import { objectOf, on, over, ownVerdict, state } from "../lib/state.js";
import { select } from "./selection.js";

const MORE = 60;
const grid = element("gallery");
let shown = 0;
let drawnFor = null;
let drawnOnly = false;

const pictures = new Pictures((canvas) => {
  const object = objectOf(canvas.dataset.id);
  return object && state.report && !state.slide.deleted ? { slide: state.slide.id, ...state.report.slide, object } : null;
});
const nearEnd = new IntersectionObserver((seen) => seen.some((s) => s.isIntersecting) && showMore());

on("opened", restart);
on("threshold", restart);
on("atypical", restart);
element("gallery-atypical").addEventListener("change", () => showAtypicalOnly(element("gallery-atypical").checked));
on("regions", restart);
on("selected", mark);
on("reviews", mark);

function restart() {
  element("gallery-only").hidden = !atypiaModel();
  if (!atypiaModel()) state.atypicalOnly = false;
  element("gallery-atypical").checked = state.atypicalOnly;
  const count = listed().length;
  element("gallery-note").textContent = state.report ? `${count} ${state.atypicalOnly ? "atypical " : ""}candidates of the slide over the threshold, likeliest first.` : "Candidates appear here once an analysis is open.";
  if (drawnFor !== state.candidates || drawnOnly !== state.atypicalOnly) {
    drawnFor = state.candidates;
    drawnOnly = state.atypicalOnly;
    grid.replaceChildren();
    shown = 0;
  }
  // The list is sorted, so another threshold only makes it longer or shorter.
  while (grid.children.length > count) grid.lastChild.remove();
  shown = Math.min(shown, count);
  if (shown < Math.min(MORE, count)) showMore();
}

/** The candidates that are shown, likeliest first: a part of them is as sorted as all are. */
function listed() {
  const found = state.candidates?.list.slice(0, over()) ?? [];
  return state.atypicalOnly ? found.filter(isAtypical) : found;
}

/** Append the next candidates; false where there are no more. */
function showMore() {
  const list = listed();
  const end = Math.min(shown + MORE, list.length);
  if (end <= shown) return false;
  for (; shown < end; shown++) grid.append(card(list[shown]));
  nearEnd.disconnect();
  nearEnd.observe(grid.lastChild);
  mark();
  return true;
}

function card(candidate) {
  const button = document.createElement("button");
  button.dataset.id = candidate.id;
  const picture = pictures.canvas();
  picture.dataset.id = candidate.id;
  button.append(picture, candidate.probability.toFixed(3));
  const atypical = isAtypical(candidate);
  if (atypical) button.append(make("span", { className: "atypical-mark", textContent: "atypical" }));
  button.setAttribute("aria-label", `Candidate, probability ${candidate.probability.toFixed(3)}${atypical ? ", atypical" : ""}`);
  button.addEventListener("click", () => select(candidate.id));
  return button;
}

function mark() {
  for (const button of grid.children) {
    const verdict = ownVerdict(button.dataset.id);
    button.setAttribute("aria-current", String(button.dataset.id === state.selected));
    button.classList.toggle("verdict-yes", verdict === true);
    button.classList.toggle("verdict-no", verdict === false);
  }
}
