// What the server counts: asked again whenever the threshold, the review, the field or the profile changes.

import { here, json } from "../lib/api.js";
import { emit, on, state } from "../lib/state.js";
import { toast } from "../lib/toast.js";
import { isSending, isUnsaved } from "../review/sending.js";
import { isConsensus, reviewKind } from "../signoff/stage.js";
import { countingQuery } from "./profile.js";

/** @type {Promise<void> | null} */
let running = null;
let wanted = false;

/** Whether the numbers on the page are of an earlier threshold, review or place. */
export const isCounting = () => running !== null || isSending();

/** The query that gives the numbers on the page, for /counts and for /report. */
export function query() {
  const asked = countingQuery();
  asked.set("threshold", String(state.threshold));
  asked.set("review", reviewKind());
  if (!isConsensus()) asked.set("reviewer", state.reviewer);
  if (state.study) asked.set("study", state.study);
  if (state.field) asked.set("field", `${state.field.x.toFixed(1)},${state.field.y.toFixed(1)}`);
  return asked;
}

/** Count again; while a request is under way, once more after it, with what is chosen then. Resolves when the numbers are there. */
export function recount() {
  if (!state.report || !state.analysis) return Promise.resolve();
  wanted = true;
  running ??= ask().finally(() => {
    running = null;
    emit("counting");
    emit("counts");
  });
  emit("counting");
  return running;
}

async function ask() {
  try {
    while (wanted && state.report) {
      wanted = false;
      const { analysis } = state;
      const found = await json(here(`/v1/analyses/${analysis.id}/counts?${query()}`));
      if (state.analysis?.id === analysis.id && state.report) state.counts = found;
    }
  } catch (error) {
    toast(error.message);
  }
}

for (const name of /** @type {const} */ (["threshold", "field", "regions"])) on(name, recount);
on("reviews", () => isUnsaved() || recount()); // what the server does not know yet, it does not count
