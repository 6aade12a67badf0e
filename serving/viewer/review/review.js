// The review: verdicts of people beside the model's findings. Every change is sent at once and kept by the server.

import { element } from "../lib/dom.js";
import { here, json, post } from "../lib/api.js";
import { select } from "./gallery.js";
import { placeAt, position } from "../map/slide.js";
import { emit, objectOf, on, state } from "../lib/state.js";
import { toast } from "../lib/toast.js";

const ADDED_UM = 12.5; // side of a box that marks a place: about one figure
let pointer = null;

/** Read what reviewers have said of the open analysis. */
export async function loadReviews() {
  const review = await json(here(`/v1/analyses/${state.analysis.id}/reviews`));
  const undone = new Set(review.entries.filter((e) => e.action === "undo").map((e) => e.target));
  const standing = review.entries.filter((e) => e.action !== "undo" && !undone.has(String(e.number)));
  review.undone = undone;
  review.added = new Map(standing.filter((e) => e.action === "add").map((e) => [`added-${e.number}`, e.box]));
  review.own = new Map();
  for (const entry of standing.filter((e) => e.author === review.you && e.reviewer === state.reviewer)) {
    const target = entry.action === "add" ? `added-${entry.number}` : entry.target;
    if (target.startsWith("added-") && !review.added.has(target)) continue;
    review.own.set(target, { accept: "Mitosis", reject: "Not mitosis" }[entry.action] ?? entry.label ?? "Mitosis");
  }
  state.review = review;
  emit("reviews");
}

/** Say what the chosen object is, and go on to the next candidate. */
export async function judge(action, label) {
  if (!objectOf(state.selected)) {
    toast("Choose an object first: click it, or press J.");
    return;
  }
  await record({ action, target: state.selected, ...(label ? { label } : {}) });
}

/** Add a figure where the pointer is, or in the middle of the screen. */
export async function addFigure() {
  if (!state.report) return;
  const at = pointer ? placeAt(pointer.x, pointer.y) : position();
  const side = ADDED_UM / state.report.slide.mpp;
  const entry = await record({ action: "add", box: { x: at.x - side / 2, y: at.y - side / 2, width: side, height: side } });
  if (entry) select(`added-${entry.number}`, { move: false });
}

/** Take back the last thing that this reviewer did. */
export async function undo() {
  const own = state.review?.entries.filter((e) => e.action !== "undo" && e.author === state.review.you && e.reviewer === state.reviewer && !state.review.undone.has(String(e.number)));
  if (own?.length) await record({ action: "undo", target: String(own[own.length - 1].number) });
}

/** Give the chosen object label `number`, counted from 1. */
export function relabel(number) {
  const label = Object.keys(state.review?.labels ?? {})[number - 1];
  if (label) return judge("relabel", label);
}

async function record(change) {
  const reason = element("reason").value.trim();
  try {
    const entry = await post(here(`/v1/analyses/${state.analysis.id}/reviews`), { ...change, reason, reviewer: state.reviewer });
    element("reason").value = "";
    await loadReviews();
    return entry;
  } catch (error) {
    toast(error.message);
    return null;
  }
}

on("opened", () => {
  element("relabel").replaceChildren();
});
on("reviews", show);
on("selected", showSelected);

function show() {
  const { review } = state;
  const choices = element("relabel");
  if (!choices.children.length) {
    choices.append(new Option("choose …", ""), ...Object.keys(review.labels).map((label, i) => new Option(`${i + 1}  ${label}`, label)));
  }
  const model = row(["Model", review.model_mitotic_figures, "", "", ""]);
  element("tallies").tBodies[0].replaceChildren(model, ...review.reviewers.map((r) => row([r.reviewer || r.author, r.mitotic_figures, r.accepted, r.rejected, r.added])));
  const lines = review.agreement.map(
    (a) => `${a.first[1] || a.first[0]} and ${a.second[1] || a.second[0]}: κ ${a.kappa === null ? "not defined" : a.kappa.toFixed(2)}, same on ${a.agreed} of ${a.judged_by_both}`,
  );
  element("agreement").replaceChildren(...(lines.length ? lines : ["Two reviewers are needed."]).map((text) => Object.assign(document.createElement("li"), { className: "hint", textContent: text })));
  element("record").replaceChildren(...review.entries.toReversed().slice(0, 100).map(recordLine));
  showSelected();
}

function row(cells) {
  const line = document.createElement("tr");
  line.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
  return line;
}

function recordLine(entry) {
  const what = { accept: "accepted", reject: "rejected", relabel: `called ${entry.label}`, add: "added", undo: "took back" }[entry.action];
  const which = entry.action === "add" ? `added-${entry.number}` : entry.action === "undo" ? `entry ${entry.target}` : entry.target;
  const line = document.createElement("li");
  line.textContent = `${entry.number}. ${entry.reviewer || entry.author} ${what} ${which}${entry.reason ? `: ${entry.reason}` : ""} · ${entry.at.replace("T", " ").replace("Z", "")}`;
  line.classList.toggle("undone", state.review.undone.has(String(entry.number)));
  return line;
}

function showSelected() {
  const object = objectOf(state.selected);
  const label = state.review?.own.get(state.selected);
  element("selected").textContent = object
    ? `${state.selected}${object.probability === undefined ? "" : `, probability ${object.probability.toFixed(3)}`}: ${label ?? "not judged"}`
    : "Nothing is selected.";
}

element("accept").addEventListener("click", () => judge("accept"));
element("reject").addEventListener("click", () => judge("reject"));
element("add").addEventListener("click", () => {
  pointer = null;
  addFigure();
});
element("undo").addEventListener("click", undo);
element("relabel").addEventListener("change", async (event) => {
  if (event.target.value) await judge("relabel", event.target.value);
  event.target.value = "";
});
element("reviewer").value = state.reviewer;
element("reviewer").addEventListener("change", (event) => {
  state.reviewer = event.target.value.trim();
  sessionStorage.setItem("mitoserve-reviewer", state.reviewer);
  if (state.analysis && state.report) loadReviews();
});
element("stage").addEventListener("pointermove", (event) => {
  const corner = element("stage").getBoundingClientRect();
  pointer = { x: event.clientX - corner.left, y: event.clientY - corner.top };
});
element("stage").addEventListener("pointerleave", () => (pointer = null));

