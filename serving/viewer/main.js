// Start reading here: opens slides and analyses, and ties the parts of the page together.

import { ask, follow, here, json } from "./lib/api.js";
import { element } from "./lib/dom.js";
import { emit, on, over, state } from "./lib/state.js";
import { toast } from "./lib/toast.js";
import "./account/account.js";
import "./count/counts.js";
import { recount } from "./count/counting.js";
import { showWindow } from "./count/header.js";
import { chooseAsAnalysed, chooseProfile } from "./count/profile.js";
import { ownThreshold, setThreshold } from "./count/threshold.js";
import { loadMask } from "./map/mask.js";
import "./map/overlay.js";
import { loadMap } from "./map/scoremap.js";
import { frame, goTo, placeAt, showSlide, viewer } from "./map/slide.js";
import { startEmbedding } from "./page/embed.js";
import "./page/keys.js";
import { readLink, startStep, writeLink } from "./page/links.js";
import { showTab } from "./page/panels.js";
import { showScreen } from "./page/screens.js";
import "./page/theme.js";
import "./regions/panel.js";
import { fetchRegions, holdRegions, scoredRegions } from "./regions/regions.js";
import "./report/exports.js";
import "./review/gallery.js";
import "./review/record.js";
import { select } from "./review/selection.js";
import "./review/strip.js";
import { loadReviews } from "./review/verdicts.js";
import "./signoff/readings.js";
import "./signoff/report.js";
import "./signoff/sides.js";
import "./studies/studies.js";
import "./tape/tape.js";
import "./uploads/uploads.js";
import { stateText } from "./worklist/words.js";
import { markCurrent, startWorklist } from "./worklist/worklist.js";

const REACH_PX = 24;
const AGAIN_MS = 1000;
let touched = false; // whether somebody has moved the slide since it was opened
let turn = 0; // of the last thing that somebody opened: what comes later than it is not shown any more

/**
 * Show a slide and, once it has ended, the analysis.
 *
 * @param {any} slide
 * @param {any} analysis
 * @param {any} link What an address names: a place to go to, and how to look at it.
 */
async function open(slide, analysis, link = {}) {
  const mine = ++turn;
  touched = false;
  const isCurrent = () => mine === turn;
  try {
    const other = !isShown(slide) || !viewer.isOpen();
    Object.assign(state, { slide, analysis, report: null, counts: null, candidates: null, map: null, mask: null, review: null, preliminary: null, found: [], outside: [], regions: [] });
    Object.assign(state, { selected: null, field: null, window: "hotspot-0", threshold: 0 });
    startStep();
    Object.assign(element("title"), { textContent: slide.name, title: slide.name });
    document.title = `${slide.name} · Mitoserve`;
    showScreen("slide");
    element("copy-link").disabled = false;
    element("deleted").hidden = !slide.deleted;
    markCurrent(slide, analysis);
    if (link.tab) showTab(link.tab);
    emit("opened");
    say(analysis ? stateText(analysis) : "This slide was not scored yet; choose it in the worklist to have it scored.");
    if (other && !slide.deleted) await showSlide(slide);
    goToLink(link);
    if (!analysis || !isCurrent()) return;
    const done = await ended(analysis, isCurrent);
    if (isCurrent()) await show(done, link, isCurrent);
  } catch (error) {
    if (isCurrent()) say(error.message);
  }
}

/** The place of a link once more: the count and the strip took room, and the middle of the slide's part of the page moved. */
async function placeAgain(link) {
  for (let frames = 0; frames < 3; frames++) await new Promise((resolve) => requestAnimationFrame(resolve));
  if (!touched) goToLink(link);
}

function goToLink({ x, y, zoom = 1 }) {
  if (x !== undefined && y !== undefined && viewer.isOpen()) goTo(x, y, zoom);
}

/** The analysis once it has ended, with its progress on the page meanwhile; a line that breaks is taken up again. */
async function ended(analysis, isCurrent) {
  let now = analysis;
  while ((now.state === "queued" || now.state === "running") && isCurrent()) {
    await follow(here(`/v1/analyses/${now.id}/events`), (_, event) => isCurrent() && showRunning(event)).catch(
      () => new Promise((resolve) => setTimeout(resolve, AGAIN_MS)),
    );
    now = await json(here(`/v1/analyses/${now.id}`));
  }
  return now;
}

/** How far an analysis is, and the fullest hotspot so far, which may be another one in the end. */
function showRunning(event) {
  const known = event.preliminary;
  const found = known?.hotspot ? `. Fullest hotspot so far: ${known.hotspot.mitotic_figures} in ${known.hotspot.area_mm2.toFixed(2)} mm², preliminary` : "";
  say(`The slide is being scored: ${stateText(event)}${found}`);
  state.preliminary = known;
  emit("preliminary");
}

/** What of a slide was looked at before its analysis ended without a result. */
function coverage({ progress }) {
  const known = progress.preliminary;
  return known ? ` ${Math.floor(100 * known.tissue_share)} % of its tissue had been looked at.` : "";
}

const isShown = ({ id, width, height }) => state.slide?.id === id && state.slide.width === width && state.slide.height === height;

async function show(analysis, link, isCurrent) {
  if (analysis.state !== "succeeded") throw new Error(`The analysis ${analysis.state === "failed" ? "failed" : "was cancelled"}. ${analysis.detail ?? ""}${coverage(analysis)}`);
  say("Reading the result …");
  // As it was made: reviews call objects by its lists.
  const [report, map, mask, regions] = await Promise.all([
    json(here(`/v1/analyses/${analysis.id}/report?regions=scored`)),
    loadMap(analysis.id),
    loadMask(analysis.id),
    fetchRegions(analysis.id),
  ]);
  if (!isCurrent()) return;
  // Where somebody stated other sides of the pixels than the file does, the report counts in px of another shape.
  const framed = { ...state.slide, width: report.slide.width, height: report.slide.height };
  if (!isShown(framed) || !viewer.isOpen()) {
    state.slide = framed;
    await showSlide(framed);
    if (!isCurrent()) return;
    goToLink(link);
  }
  const named = (list, kind) => (list ?? []).map((d, i) => ({ ...d, id: `${kind}-${i}` }));
  const found = [...named(report.detections, "detection"), ...named(report.outside, "outside")];
  // What is below the threshold stays so where rounding would lift it.
  const below = report.models.at(-1).thresholds.detection ?? 0;
  const possible = named(report.candidates, "candidate").map((d) => ({ ...d, probability: Math.min(d.probability, below - 1e-9) }));
  Object.assign(state, { analysis, report, map, mask, preliminary: null, found: [...found, ...possible] });
  holdRegions(state.study ? scoredRegions(report) : regions);
  if (link.profile) chooseProfile(link);
  else if (report.settings.counting) chooseAsAnalysed(report.settings.counting);
  if (link.field) state.field = link.field;
  if (link.window) state.window = link.window;
  emit("opened");
  say(report.tissue.area_mm2 > 0 ? "" : "No tissue was found on this slide, so nothing was counted. A count of 0 would say something of tissue that is not there.");
  setThreshold(link.threshold ?? ownThreshold());
  await loadReviews();
  await recount();
  if (!isCurrent()) return;
  if (link.selected) select(link.selected, { move: false });
  if (link.x !== undefined) await placeAgain(link);
  else if (!touched) showWindow();
}

/** Open what an address names. An analysis whose slide was deleted has its counts and its report still. */
async function openLink(link) {
  try {
    const found = link.analysis ? await json(here(`/v1/analyses/${encodeURIComponent(link.analysis)}`)) : null;
    const id = found?.slide ?? link.slide;
    if (!id) return;
    if (isOpen(found, id)) {
      showScreen("slide");
      return look(link);
    }
    await open(await findSlide(id, found), found, link);
  } catch (error) {
    writeLink(); // the address names what stays open, not what could not be opened
    toast(error.message);
  }
}

/** Look at what is open as a link says. */
function look(link) {
  goToLink(link);
  if (link.tab) showTab(link.tab);
  if (!state.report) return;
  if (link.threshold !== undefined) setThreshold(link.threshold);
  if (link.window) {
    state.window = link.window;
    emit("window");
  }
}

const isOpen = (analysis, slide) => (analysis ? state.analysis?.id === analysis.id : state.slide?.id === slide && !state.analysis);

async function findSlide(id, analysis) {
  try {
    return await (await ask(here(`/v1/slides/${encodeURIComponent(id)}`))).json();
  } catch (error) {
    if (error.status !== 404 || !analysis) throw error;
    return { id, name: analysis.slide_name, deleted: true };
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
  const { score, light } = state.map.at(x, y);
  const seen = Number.isNaN(score) ? (Number.isNaN(light) ? "score none" : `screened by the light net only: ${light.toFixed(2)}`) : `score ${score.toFixed(2)}`;
  const near = state.candidates.nearest(x, y, REACH_PX / frame().zoom, over());
  const candidate = near < 0 ? "" : ` · probability ${state.candidates.list[near].probability.toFixed(3)}`;
  const reason = state.mask.reasonAt(x, y);
  place.textContent = `x ${Math.floor(x)}, y ${Math.floor(y)} · ${seen}${candidate}${reason ? ` · masked: ${reason}` : ""}`;
}

for (const name of ["pointerdown", "wheel", "keydown"]) addEventListener(name, () => (touched = true), { passive: true });
viewer.addHandler("canvas-click", (event) => {
  if (!event.quick || !state.report || state.tool || state.corner || state.measuring) return;
  const { x, y } = placeAt(event.position.x, event.position.y);
  const inside = [...(state.review?.added ?? [])].find(([, b]) => x >= b.x && y >= b.y && x < b.x + b.width && y < b.y + b.height);
  const near = state.candidates.nearest(x, y, REACH_PX / frame().zoom, state.layers.possible ? state.candidates.list.length : over());
  select(inside?.[0] ?? state.candidates.list[near]?.id ?? null, { move: false });
});
element("stage").addEventListener("pointermove", showHover);
element("stage").addEventListener("pointerleave", () => (element("hover").hidden = true));

// A count that could be taken for one of tissue is not shown where there is none.
on("counts", () => document.body.classList.toggle("no-tissue", Boolean(state.counts) && state.counts.counts.tissue_area_mm2 <= 0));

showScreen("worklist");
startWorklist((slide, analysis) => {
  if (state.slide?.id === slide.id && state.analysis?.id === analysis?.id && viewer.isOpen()) showScreen("slide");
  else open(slide, analysis);
});
startEmbedding((analysis) => openLink({ analysis }));
openLink(readLink());
for (const name of ["hashchange", "popstate"]) addEventListener(name, () => openLink(readLink()));
