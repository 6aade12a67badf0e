// The candidates, likeliest first, each with a picture of about 64 µm around it.

import { ask } from "./api.js";
import { goTo } from "./slide.js";
import { emit, objectOf, on, over, state } from "./state.js";

const SHOWN_UM = 64;
const PICTURE_PX = 128;
const MORE = 60;
const element = (id) => document.getElementById(id);
const grid = element("gallery");
let shown = 0;
let drawnFor = null;

const nearPictures = new IntersectionObserver((seen) => seen.filter((s) => s.isIntersecting).forEach((s) => loadPicture(s.target)), { rootMargin: "200px" });
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
  const picture = Object.assign(document.createElement("canvas"), { className: "picture", width: PICTURE_PX, height: PICTURE_PX });
  picture.dataset.id = candidate.id;
  picture.setAttribute("aria-hidden", "true");
  button.append(picture, candidate.probability.toFixed(3));
  button.setAttribute("aria-label", `Candidate, probability ${candidate.probability.toFixed(3)}`);
  button.addEventListener("click", () => select(candidate.id));
  nearPictures.observe(picture);
  return button;
}

/** Fetch a picture once; white where the slide ends. */
async function loadPicture(canvas) {
  nearPictures.unobserve(canvas);
  const object = objectOf(canvas.dataset.id);
  const slide = state.report?.slide;
  if (!object || !slide) return;
  const side = Math.round(SHOWN_UM / slide.mpp);
  const [x, y] = [Math.round(object.x + object.width / 2 - side / 2), Math.round(object.y + object.height / 2 - side / 2)];
  const [left, top] = [Math.max(x, 0), Math.max(y, 0)];
  const [right, bottom] = [Math.min(x + side, slide.width), Math.min(y + side, slide.height)];
  const scale = PICTURE_PX / side;
  const [width, height] = [right - left, bottom - top].map((n) => Math.max(Math.round(n * scale), 1));
  const address = `/v1/slides/${state.slide.id}/iiif/${left},${top},${right - left},${bottom - top}/^${width},${height}/0/default.jpg`;
  try {
    const picture = await createImageBitmap(await (await ask(address)).blob());
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, PICTURE_PX, PICTURE_PX);
    context.drawImage(picture, (left - x) * scale, (top - y) * scale);
  } catch {
    nearPictures.observe(canvas); // tried again when it is next scrolled to
  }
}

function mark() {
  for (const button of grid.children) {
    const label = state.review?.own.get(button.dataset.id);
    button.setAttribute("aria-current", button.dataset.id === state.selected);
    button.classList.toggle("verdict-yes", label !== undefined && state.review.labels[label]);
    button.classList.toggle("verdict-no", label !== undefined && !state.review.labels[label]);
  }
}
