// The list of slides and their analyses at the server.

import { onReconnected } from "../lib/connection.js";
import { element, make, refill } from "../lib/dom.js";
import { onTabs, tellTabs } from "../lib/tabs.js";
import { all, ask, follow, here, post } from "../lib/api.js";
import { toast } from "../lib/toast.js";

const REFRESH_MS = 15000;
const NO_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="; // one clear pixel
const STREAMS = 3; // a browser opens six connections to a server, and tiles need some
const followed = new Map();
const pictures = new Map();
/** @type {(slide: any, analysis: any) => void} */
let open = () => {};
let current = { slide: null, analysis: null };

/** Start; `onOpen(slide, analysis)` is called when somebody chooses one. */
export function startLibrary(onOpen) {
  open = onOpen;
  refresh();
  setInterval(() => document.visibilityState === "visible" && refresh(), REFRESH_MS);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && refresh());
  onReconnected(refresh);
  onTabs("slides", refresh);
}

/** Mark what is open. */
export function markCurrent(slide, analysis) {
  current = { slide: slide?.id ?? null, analysis: analysis?.id ?? null };
  for (const button of element("slides").querySelectorAll(".analysis")) button.setAttribute("aria-current", String(button.dataset.id === current.analysis));
}

/** Read both lists again. */
export async function refresh() {
  try {
    const [slides, analyses] = await Promise.all([all(here("/v1/slides?limit=200"), "slides"), all(here("/v1/analyses?limit=200"), "analyses")]);
    const bySlide = grouped(analyses);
    const there = new Set(slides.map((slide) => slide.id));
    const deleted = [...bySlide].filter(([id]) => !there.has(id)).map(([id, own]) => ({ id, name: own[0].slide_name, deleted: true }));
    refill(element("slides"), [...slides.toReversed(), ...deleted].map((slide) => slideItem(slide, bySlide.get(slide.id) ?? [])));
    element("no-slides").hidden = slides.length + deleted.length > 0;
    markCurrent({ id: current.slide }, { id: current.analysis });
    analyses.filter((a) => a.state === "queued" || a.state === "running").slice(0, STREAMS).forEach(watch);
  } catch (error) {
    toast(error.message);
  }
}

/** Submit an analysis of a slide and open it. */
export async function score(slide) {
  const stated = element("mpp").value;
  const analysis = await post(here("/v1/analyses"), { slide: slide.id, options: slide.mpp === null && stated ? { mpp: Number(stated) } : {} });
  tellTabs("slides");
  await refresh();
  open(slide, analysis);
}

function grouped(analyses) {
  const found = new Map();
  for (const analysis of analyses) found.set(analysis.slide, [...(found.get(analysis.slide) ?? []), analysis]);
  return found;
}

function slideItem(slide, analyses) {
  const item = document.createElement("li");
  const head = make("button", { className: "head", dataset: { key: `slide ${slide.id}` } });
  const picture = Object.assign(document.createElement("img"), { alt: "", width: 52, height: 52 });
  if (slide.deleted) picture.src = NO_PICTURE;
  else thumbnail(slide, picture);
  const words = document.createElement("span");
  const name = Object.assign(document.createElement("span"), { className: "name", textContent: slide.name });
  const facts = Object.assign(document.createElement("small"), {
    textContent: slide.deleted ? "The slide was deleted; counts and report are kept" : `${slide.width.toLocaleString("en")} × ${slide.height.toLocaleString("en")} px${slide.mpp ? ` · ${slide.mpp.toPrecision(3)} µm/px` : ""}`,
  });
  words.append(name, facts);
  head.append(picture, words);
  head.addEventListener("click", () => open(slide, analyses[0] ?? null));
  item.append(head, ...analyses.map((analysis) => analysisButton(slide, analysis)));
  if (!slide.deleted && !analyses.some((a) => a.state === "queued" || a.state === "running" || a.state === "succeeded")) {
    const start = Object.assign(document.createElement("button"), { className: "new", textContent: "Score this slide" });
    start.dataset.key = `score ${slide.id}`;
    start.addEventListener("click", () => score(slide).catch((error) => toast(error.message)));
    item.append(start);
  }
  return item;
}

function analysisButton(slide, analysis) {
  const button = Object.assign(document.createElement("button"), { className: "analysis" });
  button.dataset.id = analysis.id;
  button.dataset.key = `analysis ${analysis.id}`;
  button.append(document.createElement("span"), Object.assign(document.createElement("time"), { textContent: analysis.created_at.slice(0, 16).replace("T", " "), dateTime: analysis.created_at }));
  describe(button, analysis);
  button.addEventListener("click", () => open(slide, analysis));
  return button;
}

/** The state of an analysis in words. */
export function stateText({ state, progress, tiles_done, tiles_total }) {
  const [done, total] = [progress?.tiles_done ?? tiles_done, progress?.tiles_total ?? tiles_total];
  if (state === "succeeded" && total === 0) return "no tissue found";
  if (state === "running") return total ? `running, ${Math.floor((100 * done) / total)} %` : "running";
  return { queued: "waiting", succeeded: "scored", failed: "failed", cancelled: "cancelled" }[state];
}

function describe(button, analysis) {
  const place = button.firstChild;
  place.textContent = stateText(analysis);
  place.className = stateText(analysis) === "no tissue found" ? "state-empty" : `state-${analysis.state}`;
}

/** Follow an analysis until it has ended, showing how it stands. */
function watch(analysis) {
  if (followed.has(analysis.id)) return;
  followed.set(analysis.id, true);
  follow(here(`/v1/analyses/${analysis.id}/events`), (_, now) => {
    const button = document.querySelector(`#slides .analysis[data-id="${analysis.id}"]`);
    if (button) describe(button, now);
  })
    .catch(() => {})
    .finally(() => {
      followed.delete(analysis.id);
      refresh();
    });
}

async function thumbnail(slide, picture) {
  if (!pictures.has(slide.id)) {
    pictures.set(slide.id, ask(here(`/v1/slides/${slide.id}/thumbnail?max_side=104`)).then(async (r) => URL.createObjectURL(await r.blob())));
  }
  picture.src = await pictures.get(slide.id).catch(() => {
    pictures.delete(slide.id);
    return NO_PICTURE;
  });
}
