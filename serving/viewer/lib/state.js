// What is open, and who wants to know when it changes.

/**
 * @typedef {{ x: number, y: number, width: number, height: number }} Box Level-0 px, (x, y) top left.
 * @typedef {Box & { id: string, probability?: number }} Found A detection, a candidate, or what a reviewer added.
 */

export const state = {
  /** @type {any} As /v1/slides gives it. */
  slide: null,
  /** @type {any} As /v1/analyses gives it. */
  analysis: null,
  /** @type {any} As /v1/analyses/ID/report gives it. */
  report: null,
  /** @type {any} As /v1/analyses/ID/counts gives it, for the threshold, the review and the field as they are. */
  counts: null,
  /** @type {import("../map/candidates.js").Candidates} */
  candidates: null,
  /** @type {import("../map/scoremap.js").ScoreMap} */
  map: null,
  /** @type {import("../map/mask.js").Mask} */
  mask: null,
  threshold: 0,
  /** @type {string} Id of an object. */
  selected: null,
  /** What is counted: `hotspot-0` and so on, `review-0` for those of the figures after review, or `field`. */
  window: "hotspot-0",
  /** @type {{ x: number, y: number }} Middle of the field, level-0 px. */
  field: null,
  /** @type {any} As /v1/analyses/ID/reviews gives it, with own verdicts. */
  review: null,
  reviewer: sessionStorage.getItem("mitoserve-reviewer") || "",
  layers: { map: true, detections: true, possible: true, hotspots: true, tiles: false, tissue: false, quality: false },
  opacity: 0.5,
};

const bus = new EventTarget();

/**
 * Call `then` whenever `name` happens.
 *
 * @param {"opened" | "threshold" | "counting" | "counts" | "window" | "selected" | "field" | "reviews" | "layers" | "tab"} name
 * @param {() => void} then
 */
export function on(name, then) {
  bus.addEventListener(name, () => then());
}

/** Say that `name` has happened. */
export function emit(name) {
  bus.dispatchEvent(new Event(name));
}

/** How many candidates are over the threshold. */
export function over() {
  return state.candidates ? state.candidates.count(state.threshold) : 0;
}

/**
 * An object of the slide by its id: a candidate, or one that a reviewer added.
 *
 * @returns {Found | null}
 */
export function objectOf(id) {
  if (!id) return null;
  if (id.startsWith("added-")) return state.review?.added.get(id) ?? null;
  return state.candidates?.list[state.candidates.indexOf(id)] ?? null;
}

/** The label that this reviewer gave an object, or undefined. */
export const ownLabel = (id) => state.review?.own.get(id);

/** Whether this reviewer calls an object a figure; undefined where it has no verdict. */
export function ownVerdict(id) {
  const label = ownLabel(id);
  return label === undefined ? undefined : Boolean(state.review.labels[label]);
}

/**
 * The window that is counted now, as /counts gives it, and what it is called.
 *
 * @returns {{ name: string, window: any } | null}
 */
export function currentWindow() {
  const { counts } = state;
  if (!counts) return null;
  if (state.window === "field") return counts.fields[0] ? { name: "Field", window: counts.fields[0] } : null;
  const [kind, index] = state.window.split("-");
  const list = kind === "review" ? (counts.review?.hotspots ?? []) : counts.hotspots;
  const number = Math.min(Number(index), list.length - 1);
  if (number < 0) return null;
  return { name: kind === "review" ? `Hotspot ${number + 1} after review` : `Hotspot ${number + 1}`, window: list[number] };
}
