// Rows of the worklist in words.

import { PROFILES } from "../lib/words.js";

/** The state of an analysis in words. */
export function stateText({ state, progress, tiles_done, tiles_total }) {
  const [done, total] = [progress?.tiles_done ?? tiles_done, progress?.tiles_total ?? tiles_total];
  if (state === "succeeded" && total === 0) return "no tissue found";
  if (state === "running") return total ? `running, ${Math.floor((100 * done) / total)} %` : "running";
  return { queued: "waiting", succeeded: "scored", failed: "failed", cancelled: "cancelled" }[state];
}

/** Class of a state's words: an analysis that found no tissue is no success. */
export const stateClass = (analysis) => (stateText(analysis) === "no tissue found" ? "state-empty" : `state-${analysis.state}`);

/** Whether an analysis has not ended. */
export const isUnderWay = (analysis) => analysis?.state === "queued" || analysis?.state === "running";

/** Whether an analysis failed because nobody knows how large the slide's pixels are. */
export const lacksResolution = (analysis) => analysis?.state === "failed" && analysis.problem === "urn:mitoserve:problem:missing-mpp";

/** Why an analysis ended as it did, or what it waits for, in a person's words; empty where there is nothing to say. */
export function whyText(analysis) {
  if (lacksResolution(analysis)) return "The file does not state how large its pixels are.";
  return analysis?.detail ?? "";
}

/** The options of an analysis that are not the usual ones. */
export function optionsText({ options }) {
  const said = [];
  if (options.cut_offs) said.push(`cut-offs ${options.cut_offs.join(", ")}`);
  else if (options.profile) said.push(PROFILES[options.profile] ?? options.profile);
  if (options.threshold !== undefined) said.push(`threshold ${options.threshold}`);
  if (options.roi) said.push("a region");
  if (options.mpp) said.push(`${[options.mpp].flat().join(" × ")} µm/px`);
  if (options.release) said.push(`release ${options.release}`);
  if (options.qc) said.push(options.qc === "exclude" ? "masked areas taken out" : "quality not looked at");
  if (options.cascade === "fast") said.push("fast");
  const known = [...(options.cascade === "fast" ? ["cascade"] : []), "cut_offs", "profile", "threshold", "roi", "mpp", "qc", "release"];
  for (const [name, value] of Object.entries(options)) if (!known.includes(name)) said.push(`${name.replaceAll("_", " ")} ${value}`);
  return said.join(" · ") || "as usual";
}

/** The versions of the models, each once. */
export const modelsText = ({ summary }) => (summary ? [...new Set(summary.models.map((model) => model.split("@")[1]))].join(", ") : "");

/** A number of things in words. */
export const countText = (number, one, several) => `${number.toLocaleString("en")} ${number === 1 ? one : several}`;

/** A time of the server's, in this place's zone. */
export function timeText(iso) {
  const at = new Date(iso);
  const two = (n) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}
