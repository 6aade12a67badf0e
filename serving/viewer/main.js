// Start reading here: opens slides and analyses, and ties the parts of the page together.

import { element } from "./lib/dom.js";
import { ask, follow, here, json } from "./lib/api.js";
import { Candidates } from "./map/candidates.js";
import "./report/exports.js";
import { select } from "./review/gallery.js";
import "./page/keys.js";
import "./page/panels.js";
import { markCurrent, startLibrary, stateText } from "./worklist/slides.js";
import "./uploads/uploads.js";
import { readLink } from "./page/links.js";
import "./map/overlay.js";
import { loadMask } from "./map/mask.js";
import { loadReviews } from "./review/review.js";
import { loadMap } from "./map/scoremap.js";
import { goTo, placeAt, frame, showSlide, viewer } from "./map/slide.js";
import { startEmbedding } from "./page/embed.js";
import { emit, over, state } from "./lib/state.js";
import { toast } from "./lib/toast.js";

const REACH_PX = 24;
const DRAWER_WIDTH = 1100;
let turn = 0; // of the last thing that somebody opened: what comes later than it is not shown any more

/** Show a slide and, once it has ended, the analysis; `at` is a position to go to. */
async function open(slide, analysis, at = {}) {
  const mine = ++turn;
  const isCurrent = () => mine === turn;
  try {
    const other = !isShown(slide) || !viewer.isOpen();
    Object.assign(state, { slide, analysis: null, report: null, candidates: null, map: null, mask: null, review: null, selected: null, field: null, threshold: 0 });
    element("title").textContent = slide.name;
    document.title = `${slide.name} · Mitoserve`;
    element("welcome").hidden = true;
    element("copy-link").disabled = false;
    markCurrent(slide, analysis);
    if (innerWidth <= DRAWER_WIDTH && !document.body.classList.contains("no-library")) element("toggle-library").click();
    emit("opened");
    say(analysis ? stateText(analysis) : "This slide was not scored yet.");
    if (other) await showSlide(slide);
    if (at.x !== undefined && at.y !== undefined) goTo(at.x, at.y, at.zoom ?? 1);
    if (!analysis || !isCurrent()) return;
    const done = await ended(analysis, isCurrent);
    if (isCurrent()) await show(done, at, isCurrent);
  } catch (error) {
    if (isCurrent()) say(error.message);
  }
}

/** The analysis once it has ended, with its progress on the page meanwhile. */
async function ended(analysis, isCurrent) {
  state.analysis = analysis;
  let now = analysis;
  while (now.state === "queued" || now.state === "running") {
    await follow(here(`/v1/analyses/${now.id}/events`), (_, event) => isCurrent() && say(`The slide is being scored: ${stateText(event)}`));
    now = await json(here(`/v1/analyses/${now.id}`));
    if (!isCurrent()) break;
  }
  return now;
}

const isShown = ({ id, width, height }) => state.slide?.id === id && state.slide.width === width && state.slide.height === height;

async function show(analysis, at, isCurrent) {
  if (analysis.state !== "succeeded") throw new Error(`The analysis ${analysis.state === "failed" ? "failed" : "was cancelled"}. ${analysis.detail ?? ""}`);
  say("Reading the result …");
  const [report, map, mask] = await Promise.all([json(here(`/v1/analyses/${analysis.id}/report`)), loadMap(analysis.id), loadMask(analysis.id)]);
  if (!isCurrent()) return;
  // Where somebody stated other sides of the pixels than the file does, the report counts in px of another shape.
  const framed = { ...state.slide, width: report.slide.width, height: report.slide.height };
  if (!isShown(framed)) {
    state.slide = framed;
    await showSlide(framed);
    if (!isCurrent()) return;
    if (at.x !== undefined && at.y !== undefined) goTo(at.x, at.y, at.zoom ?? 1);
  }
  const list = report.detections.map((d, i) => ({ ...d, id: `detection-${i}` }));
  Object.assign(state, { analysis, report, map, mask, candidates: new Candidates(list) });
  emit("opened");
  say("");
  await loadReviews();
}

/**
 * Open what an address names.
 *
 * @param {{ analysis?: string, slide?: string, x?: number, y?: number, zoom?: number }} link
 */
async function openLink({ analysis, slide, x, y, zoom }) {
  try {
    const found = analysis ? await json(here(`/v1/analyses/${encodeURIComponent(analysis)}`)) : null;
    const id = found?.slide ?? slide;
    if (!id) return;
    const stored = await ask(here(`/v1/slides/${encodeURIComponent(id)}`)).then((r) => r.json());
    await open(stored, found, { x, y, zoom });
  } catch (error) {
    toast(error.message);
  }
}

function say(text) {
  element("state").textContent = text;
  element("state").hidden = !text;
}

function showHover(event) {
  const place = element("hover");
  const corner = element("stage").getBoundingClientRect();
  place.hidden = !state.report || !viewer.isOpen();
  if (place.hidden) return;
  const { x, y } = placeAt(event.clientX - corner.left, event.clientY - corner.top);
  const { width, height } = state.report.slide;
  if (x < 0 || y < 0 || x >= width || y >= height) {
    place.hidden = true;
    return;
  }
  const score = state.map.at(x, y);
  const near = state.candidates.nearest(x, y, REACH_PX / frame().zoom, over());
  const candidate = near < 0 ? "" : ` · probability ${state.candidates.list[near].probability.toFixed(3)}`;
  const reason = state.mask.reasonAt(x, y);
  place.textContent = `x ${Math.floor(x)}, y ${Math.floor(y)} · score ${Number.isNaN(score) ? "none" : score.toFixed(2)}${candidate}${reason ? ` · masked: ${reason}` : ""}`;
}

viewer.addHandler("canvas-click", (event) => {
  if (!event.quick || !state.report) return;
  const { x, y } = placeAt(event.position.x, event.position.y);
  const inside = [...(state.review?.added ?? [])].find(([, b]) => x >= b.x && y >= b.y && x < b.x + b.width && y < b.y + b.height);
  const near = state.candidates.nearest(x, y, REACH_PX / frame().zoom, over());
  select(inside?.[0] ?? state.candidates.list[near]?.id ?? null, { move: false });
});
element("stage").addEventListener("pointermove", showHover);
element("stage").addEventListener("pointerleave", () => (element("hover").hidden = true));

startLibrary(open);
startEmbedding((analysis) => openLink({ analysis }));
openLink(readLink());
addEventListener("hashchange", () => openLink(readLink()));
