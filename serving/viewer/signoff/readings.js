// Who reads: an analysis is given to a reader, finished by them, and both readers are compared.

import { actingProject, change, here, json, post } from "../lib/api.js";
import { element, make, showValue } from "../lib/dom.js";
import { emit, on, state } from "../lib/state.js";
import { tellTabs } from "../lib/tabs.js";
import { toast } from "../lib/toast.js";
import { loadReviews } from "../review/verdicts.js";
import { isConsensus, openReading, readerNames } from "./stage.js";

const FULL = 2;
const dialog = element("blind-dialog");
/** @type {string | null} The analysis whose disagreements were brought up by themselves. */
let broughtUp = null;

const address = () => here(`/v1/analyses/${state.analysis.id}/readings`);

on("reviews", show);
on("opened", () => (broughtUp = null));

function show() {
  const { review } = state;
  const own = openReading();
  element("blind-list").replaceChildren(...review.readings.map(line));
  element("blind-note").textContent = noteOf(review, own);
  element("blind-finish").hidden = isConsensus() || (!own && review.readings.some((reading) => reading.yours && reading.reviewer === state.reviewer));
  element("blind-give").hidden = Boolean(own) || review.readings.length >= FULL;
  element("reviewer").disabled = Boolean(own);
  showValue(element("reviewer"), state.reviewer);
  element("strip-disagreements").hidden = !review.comparison;
  const agreement = review.comparison?.agreement;
  element("blind-agreement").hidden = !agreement;
  if (agreement) element("blind-agreement").textContent = agreementText(agreement);
  if (isConsensus() && broughtUp !== state.analysis.id) {
    broughtUp = state.analysis.id;
    element("strip-filter").value = "disagreements";
    emit("comparing");
  } else if (!isConsensus() && element("strip-filter").value === "disagreements") {
    element("strip-filter").value = "all";
    emit("comparing");
  }
}

function line(reading) {
  const until = reading.finished_at ? `finished ${reading.finished_at.replace("T", " ").slice(0, 16)} UTC` : "reads";
  const taken = make("button", { className: "link", textContent: "Take back", title: "This reading does not count any more" });
  taken.addEventListener("click", () => act(() => change("DELETE", `${address()}/${reading.number}`)));
  const mayTake = !reading.yours && !reading.finished_at;
  return make("li", {}, make("span", { textContent: `${reading.reviewer || reading.reader}${reading.yours ? " (you)" : ""}: ${until} ` }), ...(mayTake ? [taken] : []));
}

function noteOf(review, own) {
  if (own) return "You read this alone: what others say is hidden from you until you finish.";
  if (isConsensus()) return `Both readings are finished. What you say now is the consensus of ${readerNames().join(" and ")}.`;
  if (review.readings.length === 1 && review.readings[0].finished_at) return "One reading is finished. Give the slide to a second reader, who will see none of it.";
  if (review.readings.length) return "A reading is under way. Once both are finished, what they differ on is shown.";
  return "Nobody reads alone. Finish your reading, then give the slide to a second reader, who will see none of it.";
}

/** How far both agree, in a sentence; Cohen, Educational and Psychological Measurement 1960;20:37-46. */
function agreementText({ judged_by_both: both, agreed, kappa, disagreements, undecided }) {
  const value = kappa === null ? "not defined" : kappa.toFixed(2);
  const open = undecided ? `, ${undecided} to decide` : "";
  return `Same on ${agreed} of ${both} objects that both judged, Cohen's κ ${value}. ${disagreements} ${disagreements === 1 ? "disagreement" : "disagreements"}${open}.`;
}

async function act(ask) {
  try {
    await ask();
  } catch (error) {
    toast(error.message);
  }
  tellTabs("reviews", state.analysis.id);
  await loadReviews().catch((error) => toast(error.message));
}

/** Finish the own reading; whoever reads without one gets it first. */
async function finish() {
  const own = openReading() ?? (await post(address(), { reviewer: state.reviewer }));
  await post(`${address()}/${own.number}/finish`, {});
}

element("blind-finish").addEventListener("click", () => {
  const open = state.counts ? state.counts.review.unjudged : 0;
  element("blind-finish-said").textContent = open
    ? `${open} of the model's figures have no verdict of yours; they count as the model says. Your verdicts stay as they are from then on.`
    : "Your verdicts stay as they are from then on.";
  element("blind-finish-dialog").returnValue = "";
  element("blind-finish-dialog").showModal();
});
element("blind-finish-dialog").addEventListener("close", () => element("blind-finish-dialog").returnValue === "ok" && act(finish));

element("blind-give").addEventListener("click", async () => {
  const choices = element("blind-reader");
  choices.replaceChildren(make("option", { value: "", textContent: "somebody with my key" }));
  try {
    if (actingProject()) {
      const { members } = await json(here(`/v1/projects/${actingProject()}`));
      const others = members.filter((member) => member.principal !== state.review.you && member.role !== "reader");
      choices.append(...others.map((member) => make("option", { value: member.principal, textContent: member.principal })));
      if (others.length) choices.value = others[0].principal;
    }
  } catch (error) {
    toast(error.message);
  }
  element("blind-name").value = "";
  dialog.returnValue = "";
  dialog.showModal();
});
dialog.addEventListener("close", () => {
  if (dialog.returnValue !== "ok") return;
  const reader = element("blind-reader").value || null;
  act(() => post(address(), { reader, reviewer: element("blind-name").value.trim() }));
});
for (const close of document.querySelectorAll("#blind-dialog .close, #blind-finish-dialog .close")) {
  close.addEventListener("click", () => /** @type {HTMLDialogElement} */ (close.closest("dialog")).close());
}
