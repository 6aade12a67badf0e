// The candidates, likeliest first, each with a picture of about 64 µm around it.

import { element } from "../lib/dom.js";
import { Pictures } from "../lib/pictures.js";
import { goTo } from "../map/slide.js";
import { emit, objectOf, on, over, state } from "../lib/state.js";

const MORE = 60;
const grid = element("gallery");
let shown = 0;
let drawnFor = null;

const pictures = new Pictures((canvas) => {
  const object = objectOf(canvas.dataset.id);
  return object && state.report ? { slide: state.slide.id, ...state.report.slide, object } : null;
});
const nearEnd = new IntersectionObserver((seen) => seen.some((s) => s.isIntersecting) && showMore());

/** Choose an object and show it. */
export function select(id, { move = true } = {}) {
  state.selected = id;
  const object = objectOf(id);
  if (object && move) goTo(object.x + object.width / 2, object.y + object.height / 2, 1, { at: "glide" });
  emit("selected");
}

/** Choose the candidate `step` places further down the list. */
export function selectNext(step) {
  const count = over();
  if (!count) return;
  const index = state.candidates.indexOf(state.selected);
  const next = index < 0 ? (step > 0 ? 0 : count - 1) : Math.min(Math.max(index + step, 0), count - 1);
  while (shown <= next && showMore());
  select(state.candidates.list[next].id);
  grid.children[next]?.scrollIntoView({ block: "nearest" });
}

on("opened", restart);
on("threshold", restart);
on("selected", mark);
on("reviews", mark);

function restart() {
  const count = over();
  element("gallery-note").textContent = state.report ? `${count} candidates over the threshold, likeliest first. J and K go through them.` : "Candidates appear here once an analysis is open.";
  if (drawnFor !== state.candidates) {
    drawnFor = state.candidates;
    grid.replaceChildren();
    shown = 0;
  }
  // The list is sorted, so another threshold only makes it longer or shorter.
  while (grid.children.length > count) grid.lastChild.remove();
  shown = Math.min(shown, count);
  if (shown < Math.min(MORE, count)) showMore();
}

/** Append the next candidates; false where there are no more. */
function showMore() {
  const end = Math.min(shown + MORE, over());
  if (end <= shown) return false;
  for (; shown < end; shown++) grid.append(card(state.candidates.list[shown]));
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
  button.setAttribute("aria-label", `Candidate, probability ${candidate.probability.toFixed(3)}`);
  button.addEventListener("click", () => select(candidate.id));
  return button;
}

function mark() {
  for (const button of grid.children) {
    const label = state.review?.own.get(button.dataset.id);
    button.setAttribute("aria-current", button.dataset.id === state.selected);
    button.classList.toggle("verdict-yes", label !== undefined && state.review.labels[label]);
    button.classList.toggle("verdict-no", label !== undefined && !state.review.labels[label]);
  }
}
