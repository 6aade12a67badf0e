// The review's tab: who is reviewing, what each reviewer counts, how far they agree, and the record.

import { element, make } from "../lib/dom.js";
import { objectOf, on, ownLabel, state } from "../lib/state.js";
import { toast } from "../lib/toast.js";
import { addInMiddle, judge, loadReviews, undo } from "./verdicts.js";

const SHOWN = 100;

on("opened", () => element("relabel").replaceChildren());
on("reviews", show);
on("selected", showSelected);

function show() {
  const { review } = state;
  const choices = element("relabel");
  if (!choices.children.length) {
    choices.append(new Option("choose …", ""), ...Object.keys(review.labels).map((label, i) => new Option(`${i + 1}  ${label}`, label)));
  }
  const model = row(["Model", review.model_mitotic_figures, "", "", "", ""]);
  const reviewers = review.reviewers.map((r) => row([r.reviewer || r.author, r.after_review, r.accepted, r.rejected, r.added, r.unjudged]));
  element("tallies").tBodies[0].replaceChildren(model, ...reviewers);
  const lines = review.agreement.map(
    (a) => `${a.first[1] || a.first[0]} and ${a.second[1] || a.second[0]}: κ ${a.kappa === null ? "not defined" : a.kappa.toFixed(2)}, same on ${a.agreed} of ${a.judged_by_both}`,
  );
  element("agreement").replaceChildren(...(lines.length ? lines : ["Two reviewers are needed."]).map((text) => make("li", { className: "hint", textContent: text })));
  element("record").replaceChildren(...review.entries.toReversed().slice(0, SHOWN).map(recordLine));
  showSelected();
}

function row(cells) {
  return make("tr", {}, ...cells.map((text) => make("td", { textContent: text })));
}

function recordLine(entry) {
  const what = { accept: "accepted", reject: "rejected", relabel: "relabelled", add: "added", undo: "took back" }[entry.action];
  const which = entry.action === "add" ? `added-${entry.number}` : entry.action === "undo" ? `entry ${entry.target}` : entry.target;
  const text = `${entry.number}. ${entry.reviewer || entry.author}${entry.consensus ? ", for both," : ""} ${what} ${which}${entry.action === "relabel" ? ` as ${entry.label}` : ""}${entry.reason ? `: ${entry.reason}` : ""} · ${entry.at.replace("T", " ").replace("Z", "")}`;
  return make("li", { textContent: text, className: state.review.undone.has(String(entry.number)) ? "undone" : "" });
}

/** Which detectors of an ensemble found it, and which were silent. */
function foundBy(object) {
  if (!object.detectors) return "";
  const all = state.report.ensemble.detectors.map(({ name }) => name);
  return `. Found by ${all.filter((name) => name in object.detectors).map((name) => `${name} (${object.detectors[name].toFixed(3)})`).join(", ")}${
    all.some((name) => !(name in object.detectors)) ? `; not by ${all.filter((name) => !(name in object.detectors)).join(", ")}` : ""}`;
}

function showSelected() {
  const object = objectOf(state.selected);
  element("selected").textContent = object
    ? `${state.selected}${object.probability === undefined ? "" : `, probability ${object.probability.toFixed(3)}`}: ${ownLabel(state.selected) ?? "not judged"}${foundBy(object)}`
    : "Nothing is selected.";
}

element("accept").addEventListener("click", () => judge("accept"));
element("reject").addEventListener("click", () => judge("reject"));
element("add").addEventListener("click", addInMiddle);
element("undo").addEventListener("click", undo);
element("relabel").addEventListener("change", async () => {
  const label = element("relabel").value;
  if (label) await judge("relabel", label);
  element("relabel").value = "";
});
element("reviewer").value = state.reviewer;
element("reviewer").addEventListener("change", () => {
  state.reviewer = element("reviewer").value.trim();
  sessionStorage.setItem("mitoserve-reviewer", state.reviewer);
  if (state.analysis && state.report) loadReviews().catch((error) => toast(error.message));
});
