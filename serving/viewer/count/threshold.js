// The probability from which figures count: never below what the result holds, and never without a word about it.

import { element } from "../lib/dom.js";
import { emit, on, state } from "../lib/state.js";
import { toast } from "../lib/toast.js";

/** The threshold that the analysis counted with. */
export const ownThreshold = () => state.report.models.at(-1).thresholds.detection ?? 0;

/** The lowest threshold at which the result can be counted: what is less likely was not kept. */
const leastThreshold = () => Math.min(state.report.candidates_from ?? 1, ownThreshold());

/** Count from another probability on. */
export function setThreshold(value) {
  const least = leastThreshold();
  if (value < least - 1e-9) {
    toast(`This result holds nothing below a probability of ${least.toFixed(3)}. Score the slide again with a lower threshold to see more.`);
  }
  state.threshold = Math.min(Math.max(value, least), 1);
  emit("threshold");
}

on("threshold", () => {
  if (!state.report) return;
  const own = ownThreshold();
  element("threshold").value = state.threshold;
  element("threshold-value").textContent = state.threshold.toFixed(3);
  element("threshold-note").textContent =
    `The analysis counted from ${own.toFixed(3)}; it keeps what is possible from ${leastThreshold().toFixed(3)}.`;
});
on("opened", () => {
  if (state.report) element("threshold").min = leastThreshold();
});
element("threshold").addEventListener("input", () => setThreshold(Number(element("threshold").value)));
element("threshold-reset").addEventListener("click", () => setThreshold(ownThreshold()));
