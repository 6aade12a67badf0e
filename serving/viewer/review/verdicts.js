// Verdicts of people beside the model's findings. Every change is sent at once and kept by the server.

import { element } from "../lib/dom.js";
import { here, json, post } from "../lib/api.js";
import { emit, objectOf, state } from "../lib/state.js";
import { onTabs, tellTabs } from "../lib/tabs.js";
import { toast } from "../lib/toast.js";
import { placeAt, position } from "../map/slide.js";
import { select, selectUnjudged } from "./selection.js";

const ADDED_UM = 12.5; // side of a box that marks a place: about one figure
const SAME_UM = 7.5; // as the server has it: nearer places are one figure
const LOOK_MS = 15000; // for what others say on other machines
let pointer = null;
/** What is being recorded: one change after the other, so that none overtakes the one before. */
let last = Promise.resolve();

/** Read what reviewers have said of the open analysis. */
export async function loadReviews() {
  const { analysis } = state;
  const review = await json(here(`/v1/analyses/${analysis.id}/reviews`));
  if (state.analysis?.id !== analysis.id || !state.report) return;
  const undone = new Set(review.entries.filter((e) => e.action === "undo").map((e) => e.target));
  const standing = review.entries.filter((e) => e.action !== "undo" && !undone.has(String(e.number)));
  review.undone = undone;
  review.added = new Map(standing.filter((e) => e.action === "add").map((e) => [`added-${e.number}`, { ...e.box, id: `added-${e.number}` }]));
  review.own = new Map();
  for (const entry of standing.filter((e) => e.author === review.you && e.reviewer === state.reviewer)) {
    const target = entry.action === "add" ? `added-${entry.number}` : entry.target;
    if (target.startsWith("added-") && !review.added.has(target)) continue;
    review.own.set(target, { accept: "Mitosis", reject: "Not mitosis" }[entry.action] ?? entry.label ?? "Mitosis");
  }
  state.review = review;
  emit("reviews");
}

/** Say what the chosen object is, and go on to the next figure without a verdict. */
export async function judge(action, label) {
  const target = state.selected;
  if (!objectOf(target)) {
    toast("Choose an object first: click it, or press J.");
    return;
  }
  const entry = await record({ action, target, ...(label ? { label } : {}) });
  if (entry && state.selected === target) selectUnjudged();
}

/** Add a figure where the pointer is, or in the middle of the screen; what is there already is accepted. */
export async function addFigure() {
  if (!state.report) return;
  const { width, height, mpp } = state.report.slide;
  const at = pointer ? placeAt(pointer.x, pointer.y) : position();
  if (at.x < 0 || at.y < 0 || at.x >= width || at.y >= height) {
    toast("There is no slide here: a figure is added inside it.");
    return;
  }
  const there = nearest(at, SAME_UM / mpp);
  if (there) {
    select(there, { move: false });
    const entry = await record({ action: "accept", target: there });
    if (entry) toast("There is an object here already: it is accepted, and counts once.");
    return;
  }
  const side = ADDED_UM / mpp;
  const entry = await record({ action: "add", box: { x: at.x - side / 2, y: at.y - side / 2, width: side, height: side } });
  if (entry) select(`added-${entry.number}`, { move: false });
}

/** Id of the object whose middle is nearest to a place and within `reach` px; null where there is none. */
function nearest({ x, y }, reach) {
  const index = state.candidates.nearest(x, y, reach, state.candidates.list.length);
  if (index >= 0) return state.candidates.list[index].id;
  const near = [...(state.review?.added ?? [])].find(([, b]) => Math.hypot(b.x + b.width / 2 - x, b.y + b.height / 2 - y) <= reach);
  return near?.[0] ?? null;
}

/** Take back the last thing that this reviewer did, and choose it again. */
export async function undo() {
  const own = state.review?.entries.filter((e) => e.action !== "undo" && e.author === state.review.you && e.reviewer === state.reviewer && !state.review.undone.has(String(e.number)));
  const entry = own?.at(-1);
  if (!entry) {
    toast("There is nothing to take back.");
    return;
  }
  if (await record({ action: "undo", target: String(entry.number) })) select(objectOf(entry.target) ? entry.target : null);
}

/** Give the chosen object label `number`, counted from 1. */
export function relabel(number) {
  const label = Object.keys(state.review?.labels ?? {})[number - 1];
  return label ? judge("relabel", label) : undefined;
}

function record(change) {
  const { analysis, reviewer } = state;
  const reason = element("reason").value.trim();
  const done = last.then(async () => {
    try {
      const entry = await post(here(`/v1/analyses/${analysis.id}/reviews`), { ...change, reason, reviewer });
      element("reason").value = "";
      tellTabs("reviews", analysis.id);
      await loadReviews();
      return entry;
    } catch (error) {
      toast(error.message);
      return null;
    }
  });
  last = done;
  return done;
}

/** Look whether somebody else has said something since. */
async function look() {
  if (document.visibilityState !== "visible" || !state.report || !state.review) return;
  const { analysis, review } = state;
  const found = await json(here(`/v1/analyses/${analysis.id}/reviews`)).catch(() => null);
  if (found && state.review === review && found.entries.length !== review.entries.length) await loadReviews();
}

onTabs("reviews", (analysis) => {
  if (state.report && state.analysis.id === analysis) loadReviews().catch((error) => toast(error.message));
});
setInterval(look, LOOK_MS);
document.addEventListener("visibilitychange", look);
element("stage").addEventListener("pointermove", (event) => {
  const corner = element("stage").getBoundingClientRect();
  pointer = { x: event.clientX - corner.left, y: event.clientY - corner.top };
});
element("stage").addEventListener("pointerleave", () => (pointer = null));

/** Forget where the pointer is: a button adds in the middle of the screen. */
export function addInMiddle() {
  pointer = null;
  return addFigure();
}
