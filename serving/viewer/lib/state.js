// What is open, and who wants to know when it changes.

/**
 * @typedef {{ x: number, y: number, width: number, height: number }} Box Level-0 px, (x, y) top left.
 * @typedef {Box & { id: string, probability?: number, atypical_probability?: number | null, detectors?: Record<string, number> | null }} Found A detection, a candidate, or what a reviewer added.
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
  /** @type {import("../map/candidates.js").Candidates} Of those that are counted. */
  candidates: null,
  /** @type {(Found & { probability: number })[]} Everything that the result holds a box of. */
  found: [],
  /** @type {(Found & { probability: number })[]} What of it lies outside the regions that are counted in. */
  outside: [],
  /** @type {import("../regions/shapes.js").Region[]} */
  regions: [],
  /** @type {(box: Box) => boolean} Whether what is centred in a box's middle counts. */
  isCounted: () => true,
  /** @type {"polygon" | "rectangle" | "brush" | null} What is being drawn with. */
  tool: null,
  /** Whether a distance is being measured. */
  measuring: false,
  /** Number of the region that is chosen; -1 for none. */
  region: -1,
  /** @type {{ polygon: number, ring: number, index: number } | null} The corner of it that is chosen. */
  corner: null,
  /** @type {import("../regions/shapes.js").Region | null} The chosen region while a corner is dragged. */
  moved: null,
  /** @type {import("../map/scoremap.js").ScoreMap} */
  map: null,
  /** @type {import("../map/mask.js").Mask} */
  mask: null,
  /** @type {any} What is known of an analysis that has no result yet, as its events give it. */
  preliminary: null,
  threshold: 0,
  /** @type {string} Id of an object. */
  selected: null,
  /** What is counted: `hotspot-0` and so on, `review-0` for those of the figures after review, or `field`. */
  window: "hotspot-0",
  /** @type {{ x: number, y: number }} Middle of the field, level-0 px. */
  field: null,
  /** @type {any} As /v1/analyses/ID/reviews gives it, with own verdicts. */
  review: null,
  /** @type {string | null} Id of the study that is read in; null for none. */
  study: null,
  reviewer: sessionStorage.getItem("mitoserve-reviewer") || "",
  layers: { map: true, detections: true, possible: true, hotspots: true, tiles: false, tissue: false, quality: false },
  opacity: 0.5,
  atypicalOnly: false,
};

const bus = new EventTarget();

/**
 * Call `then` whenever `name` happens.
 *
 * @param {"opened" | "threshold" | "counting" | "counts" | "window" | "selected" | "field" | "reviews" | "layers" | "tab" | "regions" | "tool" | "atypical" | "comparing" | "screen" | "preliminary" | "read" | "reviews-elsewhere" | "regions-elsewhere"} name
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
