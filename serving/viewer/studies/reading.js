// Reading in a study: the slides in the reader's own order, one after the other, with the time that each takes.

import { authorization, here, json } from "../lib/api.js";
import { element } from "../lib/dom.js";
import { emit, on, state } from "../lib/state.js";
import { toast } from "../lib/toast.js";
import { isAtWorklist } from "../page/screens.js";
import { whenSent } from "../review/sending.js";
import { Clock } from "./clock.js";

const SENT_MS = 15000;
const SHOWN_MS = 1000;
const clock = new Clock();
/** @type {any} As /v1/studies/ID/reading gives it. */
let reading = null;
let visit = "";
let visited = null; // the analysis whose time runs
let warned = ""; // what was said against ending the slide that is open

const query = () => new URLSearchParams({ reviewer: state.reviewer });
const address = (more = "") => here(`/v1/studies/${state.study}/reading${more}`);
const current = () => reading?.slides.find(({ analysis }) => analysis === state.analysis?.id);

/** Take over which study an address names, before anything is opened. */
function takeStudy() {
  const stated = new URLSearchParams(location.hash.slice(1));
  const study = stated.get("study");
  if (!study || !/^[0-9a-f]{1,40}$/.test(study)) {
    if (!state.study || !stated.has("analysis")) return;
    leaveReading();
    forget();
    return;
  }
  const reviewer = stated.get("reader") ?? "";
  if (state.study === study && state.reviewer === reviewer && reading) return;
  endVisit();
  forget();
  reading = null;
  Object.assign(state, { study, reviewer });
  begin(!stated.has("analysis")).catch((error) => {
    toast(error.message);
    leaveReading();
  });
}

async function begin(goOn) {
  reading = await json(`${address()}?${query()}`);
  document.body.classList.add("reading");
  Object.assign(element("reviewer"), { disabled: true, value: state.reviewer });
  if (goOn) openNext();
  show();
  startVisit();
}

/** Read in a study from the next slide on. */
export function startReading(study, reviewer) {
  location.hash = `#${new URLSearchParams({ study, reader: reviewer })}`;
}

/** What is open is no more: the same analysis has other verdicts in a study and outside. */
function forget() {
  Object.assign(state, { analysis: null, report: null, counts: null, review: null, selected: null });
}

/** Close the slide and go back to the worklist. */
function close() {
  leaveReading();
  forget();
  emit("opened");
  element("show-worklist").click();
}

/** Go back to what is outside the study. */
function leaveReading() {
  if (!state.study) return;
  endVisit();
  reading = null;
  state.study = null;
  state.reviewer = sessionStorage.getItem("mitoserve-reviewer") || "";
  document.body.classList.remove("reading");
  Object.assign(element("reviewer"), { disabled: false, value: state.reviewer });
  show();
}

function openSlide(analysis) {
  location.hash = `#${new URLSearchParams({ study: state.study, reader: state.reviewer, analysis })}`;
}

function openNext() {
  if (reading.next) openSlide(reading.next);
  else {
    toast("All slides of this study are read. Thank you.");
    location.hash = "";
    close();
    emit("read");
  }
}

// The time runs while a slide of the study is shown.
function startVisit() {
  const slide = current();
  if (!slide || slide.finished || isAtWorklist()) return endVisit();
  if (visited === slide.analysis) return;
  endVisit();
  visited = slide.analysis;
  visit = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  clock.start();
  send();
}

function endVisit() {
  if (visited) send();
  visited = null;
  clock.stop();
}

const body = (more = {}) => JSON.stringify({ reviewer: state.reviewer, visit, active_s: Number(clock.seconds().toFixed(2)), ...more });

/** Tell the server the time so far; a line that is broken loses none of it, since the next time holds it too. */
function send() {
  if (!visited || !state.study) return;
  fetch(address(`/${visited}`), { method: "PUT", keepalive: true, headers: { "Content-Type": "application/json", ...authorization() }, body: body() }).catch(() => {});
}

function note(analysis, more) {
  return json(address(`/${analysis}`), { method: "PUT", headers: { "Content-Type": "application/json" }, body: body(more) });
}

/** How many of the model's figures have no verdict. */
const open = () => state.counts?.review?.unjudged ?? 0;

async function finish() {
  await whenSent(); // what comes after the end is refused
  const slide = current();
  if (!slide) return openNext();
  const doubt = !state.counts ? "The counts of this slide are not there yet." : open() ? `${open()} of the model's figures on this slide have no verdict, and count as neither.` : "";
  if (!slide.finished && doubt && warned !== doubt) {
    warned = doubt;
    toast(`${doubt} Press again to go on.`);
    return;
  }
  try {
    if (!slide.finished) reading = await note(slide.analysis, { finished: true });
    visited = null;
    openNext();
  } catch (error) {
    toast(error.message);
  }
}

/** Back to the slide before, which is open again. */
async function back() {
  const before = reading?.slides[reading.slides.indexOf(current()) - 1];
  if (!before) return;
  endVisit();
  try {
    if (before.finished) reading = await note(before.analysis, { finished: false, visit: "" });
    openSlide(before.analysis);
  } catch (error) {
    toast(error.message);
  }
}

function show() {
  element("reading-bar").hidden = !reading;
  element("region-tools").hidden = Boolean(state.study) || !state.report;
  if (!reading) return;
  const slide = current();
  const place = slide ? reading.slides.indexOf(slide) + 1 : 0;
  element("reading-name").textContent = reading.reviewer ? `${reading.name}, reader ${reading.reviewer}` : reading.name;
  element("reading-place").textContent = slide ? `slide ${place} of ${reading.slides.length}` : `${reading.slides.length} slides`;
  const judged = state.counts?.review ? `, ${open()} without a verdict` : "";
  element("reading-judged").textContent = slide?.finished ? ", finished" : judged;
  element("reading-back").disabled = place < 2;
  element("reading-next").textContent = !slide ? "Go on" : place === reading.slides.length ? "Finish the study" : "Finish, next slide";
  showTime();
}

function showTime() {
  const slide = current();
  if (!slide) return;
  const all = Math.floor(slide.active_s + (visited === slide.analysis ? clock.seconds() : 0));
  element("reading-time").textContent = `${Math.floor(all / 60)}:${String(all % 60).padStart(2, "0")}`;
}

element("reading-next").addEventListener("click", finish);
element("reading-back").addEventListener("click", back);
element("reading-leave").addEventListener("click", close);
on("opened", () => {
  warned = "";
  if (reading && state.analysis && !current()) leaveReading();
  show();
  startVisit();
});
on("counts", show);
on("screen", startVisit);
setInterval(send, SENT_MS);
setInterval(() => reading && showTime(), SHOWN_MS);
document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && send());
addEventListener("pagehide", send);
addEventListener("hashchange", takeStudy);
takeStudy();
