// The counts at the threshold that is chosen, and the hotspots.

import { element } from "../lib/dom.js";
import { countIn } from "./field.js";
import { goToBox } from "../map/slide.js";
import { emit, on, over, state } from "../lib/state.js";


/** The threshold that the analysis counted with. */
export function ownThreshold() {
  return Math.max(...state.report.models.map((m) => m.thresholds.detection ?? 0));
}

/** Count from another probability on. */
export function setThreshold(value) {
  state.threshold = Math.min(Math.max(value, 0), 1);
  element("threshold").value = state.threshold;
  emit("threshold");
}

/** Go to hotspot `number`, counted from 1. */
export function goToHotspot(number) {
  const hotspot = state.report?.hotspots[number - 1];
  if (hotspot) goToBox(hotspot);
}

element("threshold").addEventListener("input", (event) => setThreshold(Number(event.target.value)));
element("threshold-reset").addEventListener("click", () => setThreshold(ownThreshold()));
on("opened", showAnalysis);
on("threshold", showCounts);
on("reviews", showCounts);

function showAnalysis() {
  const { report } = state;
  element("counts-body").hidden = !report;
  if (!report) return;
  element("tissue").textContent = report.counts.tissue_area_mm2.toFixed(2);
  element("warnings").replaceChildren(...report.warnings.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  const least = ownThreshold();
  element("threshold").min = Math.floor(least * 200) / 200;
  setThreshold(state.threshold || least);
}

function showCounts() {
  if (!state.report) return;
  const { report } = state;
  const count = over();
  const own = ownThreshold();
  element("count").textContent = count;
  element("density").textContent = report.counts.tissue_area_mm2 > 0 ? (count / report.counts.tissue_area_mm2).toFixed(1) : "–";
  element("threshold-value").textContent = state.threshold.toFixed(3);
  element("threshold-note").textContent = `The analysis counted from ${own.toFixed(3)}: ${report.counts.mitotic_figures}.`;
  showReviewed(count);
  element("hotspots").replaceChildren(...report.hotspots.map(hotspotButton));
  if (!report.hotspots.length) element("hotspots").append(Object.assign(document.createElement("li"), { className: "hint", textContent: "No window holds a mitotic figure." }));
}

/** The model's figures without those that were called something else, and with those that were added. */
function showReviewed(count) {
  const own = state.review?.own ?? new Map();
  let [kept, accepted, rejected, added] = [count, 0, 0, 0];
  for (const [id, label] of own) {
    const figure = state.review.labels[label];
    const index = state.candidates.indexOf(id);
    const counted = index >= 0 && index < count;
    if (id.startsWith("added-")) added += figure ? 1 : 0;
    else if (figure) accepted += 1;
    else rejected += 1;
    if (figure && !counted) kept += 1;
    if (!figure && counted) kept -= 1;
  }
  element("reviewed").textContent = own.size ? kept : "–";
  element("reviewed-how").textContent = own.size ? `${accepted} accepted, ${rejected} rejected, ${added} added` : "nothing judged";
}

function hotspotButton(hotspot, i) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  const count = countIn(hotspot);
  const rank = Object.assign(document.createElement("b"), { textContent: i + 1 });
  const what = Object.assign(document.createElement("span"), { textContent: `${count} in ${hotspot.area_mm2} mm²` });
  const density = Object.assign(document.createElement("span"), { textContent: `${(count / hotspot.area_mm2).toFixed(1)} per mm²` });
  button.append(rank, what, density);
  button.addEventListener("click", () => goToHotspot(i + 1));
  item.append(button);
  return item;
}
