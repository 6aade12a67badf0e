// What is open, and who wants to know when it changes.

export const state = {
  slide: null, // as /v1/slides gives it
  analysis: null, // as /v1/analyses gives it
  report: null,
  candidates: null,
  map: null,
  mask: null,
  threshold: 0,
  selected: null, // id of an object
  field: null, // {x, y, width, height, shape, area_mm2}
  review: null, // as /v1/analyses/ID/reviews gives it, with own verdicts
  reviewer: sessionStorage.getItem("mitoserve-reviewer") || "",
  layers: { map: true, detections: true, hotspots: true, tiles: false, tissue: false, quality: false },
  opacity: 0.5,
};

const bus = new EventTarget();

/** Call `then` whenever `name` happens: opened, threshold, selected, field, reviews, layers. */
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

/** An object of the slide by its id: a candidate, or one that a reviewer added. */
export function objectOf(id) {
  if (!id) return null;
  if (id.startsWith("added-")) return state.review?.added.get(id) ?? null;
  return state.candidates?.list[state.candidates.indexOf(id)] ?? null;
}
