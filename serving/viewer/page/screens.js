// The screens of the page: the worklist, the slide that is open, and its report.

import { element } from "../lib/dom.js";
import { emit, state } from "../lib/state.js";

/** Whether the worklist is shown. */
export const isAtWorklist = () => document.body.classList.contains("at-worklist");

/** Whether the report is shown. */
export const isAtReport = () => document.body.classList.contains("at-report");

/** Whether the slide that is open is shown. */
export const isAtSlide = () => !isAtWorklist() && !isAtReport();

/** Show the worklist, the slide that is open, or its report. */
export function showScreen(name) {
  const shown = name === "worklist" || !state.slide ? "worklist" : name === "report" && state.report ? "report" : "slide";
  for (const screen of ["worklist", "report"]) document.body.classList.toggle(`at-${screen}`, shown === screen);
  for (const screen of ["worklist", "slide", "report"]) element(`show-${screen}`).setAttribute("aria-current", shown === screen ? "page" : "false");
  element("show-slide").disabled = !state.slide;
  emit("screen");
}

/** Go to the other one. */
export const switchScreen = () => showScreen(isAtWorklist() ? "slide" : "worklist");

element("show-worklist").addEventListener("click", () => showScreen("worklist"));
element("show-slide").addEventListener("click", () => showScreen("slide"));
