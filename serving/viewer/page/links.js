// Links: what is open, where, and how it is looked at. The address of the page is always one.
//
// #analysis=ID&x=…&y=…&zoom=… (level-0 px, and screen px per level-0 px), and where they differ from what a page starts with
// study and its reader, threshold, window, field, selected, tab, and what is counted: profile, shape, diameter, area, cut-offs.

import { actingProject, here } from "../lib/api.js";
import { element } from "../lib/dom.js";
import { on, state } from "../lib/state.js";
import { toast } from "../lib/toast.js";
import { chosenProfile } from "../count/profile.js";
import { ownThreshold } from "../count/threshold.js";
import { position, viewer } from "../map/slide.js";
import { chosenTab } from "./panels.js";

const TEXTS = ["analysis", "slide", "window", "selected", "tab", "profile", "shape", "diameter", "area"];
const NUMBERS = ["x", "y", "zoom", "threshold"];

let known = ""; // the part of the address that was last read or written

/**
 * What the address names; absent where it does not.
 *
 * @returns {any}
 */
export function readLink() {
  known = location.hash;
  const stated = new URLSearchParams(location.hash.slice(1));
  const path = /\/v1\/analyses\/([^/]+)\/view$/.exec(location.pathname);
  /** @type {any} */
  const found = {};
  for (const name of TEXTS) if (stated.has(name)) found[name] = stated.get(name);
  for (const name of NUMBERS) {
    const value = Number(stated.get(name));
    if (stated.has(name) && Number.isFinite(value)) found[name] = value;
  }
  if (stated.has("cut-offs")) found.cutOffs = stated.get("cut-offs");
  const [x, y] = (stated.get("field") ?? "").split(",").map(Number);
  if (stated.get("field") && Number.isFinite(x) && Number.isFinite(y)) found.field = { x, y };
  found.analysis ??= path?.[1];
  return found;
}

/** The address of what is seen now. */
export function link() {
  const stated = new URLSearchParams(state.analysis ? { analysis: state.analysis.id } : { slide: state.slide.id });
  if (actingProject()) stated.set("project", actingProject());
  if (state.study) stated.set("study", state.study);
  if (state.study && state.reviewer) stated.set("reader", state.reviewer);
  if (viewer.isOpen()) {
    const { x, y, zoom } = position();
    stated.set("x", x.toFixed(0));
    stated.set("y", y.toFixed(0));
    stated.set("zoom", zoom.toPrecision(4));
  }
  if (state.report) {
    if (Math.abs(state.threshold - ownThreshold()) > 1e-9) stated.set("threshold", String(Number(state.threshold.toFixed(5))));
    if (state.window !== "hotspot-0") stated.set("window", state.window);
    if (state.field) stated.set("field", `${state.field.x.toFixed(0)},${state.field.y.toFixed(0)}`);
    if (state.selected) stated.set("selected", state.selected);
    const { cutOffs, ...chosen } = chosenProfile();
    for (const [name, value] of Object.entries(chosen)) if (value) stated.set(name, value);
    if (cutOffs) stated.set("cut-offs", cutOffs);
  }
  if (chosenTab() !== "counts") stated.set("tab", chosenTab());
  return `${location.origin}${here("/")}${location.search}#${stated}`;
}

/** Write what is open over the address. */
export function writeLink() {
  if (!state.slide) return;
  history.replaceState(null, "", link());
  known = location.hash;
}

/** Copy it for somebody else. */
export async function copyLink() {
  if (!state.slide) return;
  try {
    await navigator.clipboard.writeText(link());
    toast("The link to this position is copied.");
  } catch {
    toast(link());
  }
}

/** Whether the address names something else than what is open. */
function namesAnother() {
  const { analysis, slide } = readLink();
  const same = analysis === state.analysis?.id && (state.analysis || slide === state.slide.id);
  return !same && Boolean(analysis || slide);
}

/** Make what is open now a step of its own, to which Back leads. */
export function startStep() {
  if (!namesAnother()) return;
  history.pushState(null, "", link());
  known = location.hash;
}

let later;
function keep() {
  clearTimeout(later);
  // Browsers refuse many changes in a short time, and a threshold that is dragged makes them.
  later = setTimeout(() => {
    if (state.slide && (location.hash !== known || namesAnother())) return; // another link was asked for, and is opened next
    writeLink();
  }, 200);
}
viewer.addHandler("animation-finish", keep);
for (const name of /** @type {const} */ (["opened", "threshold", "window", "field", "selected", "tab"])) on(name, keep);
element("copy-link").addEventListener("click", copyLink);
