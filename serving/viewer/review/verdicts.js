// Verdicts of people beside the model's findings. Every change shows at once, is sent behind it, and is kept by the server.

import { element } from "../lib/dom.js";
import { json } from "../lib/api.js";
import { heard } from "../lib/changes.js";
import { emit, objectOf, on, state } from "../lib/state.js";
import { onTabs, tellTabs } from "../lib/tabs.js";
import { toast } from "../lib/toast.js";
import { placeAt, position } from "../map/slide.js";
import { isOwn, labelsOf, saidAs, takeReader } from "../signoff/stage.js";
import { select, selectUnjudged } from "./selection.js";
import { dropUnsent, isUnsaved, nameOf, reviewsOf, send, startSending, unsaved } from "./sending.js";

const ADDED_UM = 12.5; // side of a box that marks a place: about one figure
const SAME_UM = 7.5; // as the server has it: nearer places are one figure
const LABELS = { accept: "Mitosis", reject: "Not mitosis" };
let pointer = null;
let asked = 0;

/** Read what reviewers have said of the open analysis. */
export async function loadReviews() {
  const { analysis } = state;
  const mine = ++asked;
  const review = await json(reviewsOf({ analysis: analysis.id, study: state.study, reviewer: state.reviewer }));
  if (mine !== asked || state.analysis?.id !== analysis.id || !state.report) return;
  hold(review);
}

/** Hold a record, with what is on its way to it. */
function hold(review) {
  const undone = new Set(review.entries.filter((e) => e.action === "undo").map((e) => e.target));
  const standing = review.entries.filter((e) => e.action !== "undo" && !undone.has(String(e.number)));
  takeReader(review);
  const additions = standing.filter((e) => e.action === "add" && !review.same[`added-${e.number}`]);
  const added = new Map(additions.map((e) => [`added-${e.number}`, { ...e.box, id: `added-${e.number}` }]));
  const own = labelsOf({ ...review, added }, standing);
  for (const { change, id } of unsaved()) {
    if (id) added.set(id, { ...change.box, id });
    if (change.action !== "undo") own.set(id ?? nameOf(change.target), LABELS[change.action] ?? change.label ?? "Mitosis");
  }
  heard.reviews = review.entries.at(-1)?.number ?? 0;
  state.review = { ...review, undone, added, own };
  if (state.selected !== nameOf(state.selected)) select(nameOf(state.selected), { move: false });
  emit("reviews");
}

/** Say what the chosen object is, and go on to the next figure without a verdict. */
export function judge(action, label) {
  const target = state.selected;
  if (!objectOf(target)) {
    toast("Choose an object first: click it, or press J.");
    return;
  }
  record({ action, target, ...(label ? { label } : {}) });
  selectUnjudged();
}

/** Add a figure where the pointer is, or in the middle of the screen; what is there already is accepted. */
export function addFigure() {
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
    record({ action: "accept", target: there });
    toast("There is an object here already: it is accepted, and counts once.");
    return;
  }
  const side = ADDED_UM / mpp;
  select(record({ action: "add", box: { x: at.x - side / 2, y: at.y - side / 2, width: side, height: side } }), { move: false });
}

/** Id of the object whose middle is nearest to a place and within `reach` px; null where there is none. */
function nearest({ x, y }, reach) {
  const index = state.candidates.nearest(x, y, reach, state.candidates.list.length);
  if (index >= 0) return state.candidates.list[index].id;
  const near = [...(state.review?.added ?? [])].find(([, b]) => Math.hypot(b.x + b.width / 2 - x, b.y + b.height / 2 - y) <= reach);
  return near?.[0] ?? null;
}

/** Take back the last thing that this reviewer did, and choose it again. */
export function undo() {
  if (!state.review) return;
  const unsent = dropUnsent();
  if (unsent) {
    hold(state.review);
    select(unsent.target ?? null);
    return;
  }
  const own = state.review.entries.filter((e) => e.action !== "undo" && isOwn(e) && !state.review.undone.has(String(e.number)));
  if (!own.length && !isUnsaved()) {
    toast("There is nothing to take back.");
    return;
  }
  record({ action: "undo" }); // of the last thing that is on record when it arrives
}

/** Give the chosen object label `number`, counted from 1. */
export function relabel(number) {
  const label = Object.keys(state.review?.labels ?? {})[number - 1];
  return label ? judge("relabel", label) : undefined;
}

/** Show a change and have it recorded; gives what an added figure is called. */
function record(change) {
  const reason = element("reason").value.trim();
  const id = send({ ...change, ...saidAs(), reason });
  element("reason").value = "";
  if (state.review) hold(state.review);
  return id;
}

startSending({
  onRecorded: ({ analysis, change }, entry) => {
    tellTabs("reviews", analysis);
    if (state.analysis?.id !== analysis || !state.review) return;
    const { entries } = state.review;
    hold({ ...state.review, entries: entries.some((e) => e.number === entry.number) ? entries : [...entries, entry] });
    if (change.action !== "undo") return;
    const { target } = entries.find((e) => String(e.number) === entry.target) ?? {};
    select(objectOf(target) ? target : null);
  },
  onRefused: ({ analysis, change }, error) => {
    toast(error.message);
    if (!element("reason").value) element("reason").value = change.reason;
    if (state.analysis?.id === analysis && state.review) hold(state.review);
  },
  onEnd: async () => {
    if (state.report) await loadReviews().catch((error) => toast(error.message));
  },
});

onTabs("reviews", (analysis) => state.analysis?.id === analysis && readAgain());
on("reviews-elsewhere", readAgain);

function readAgain() {
  if (state.report && state.review) loadReviews().catch((error) => toast(error.message));
}

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
