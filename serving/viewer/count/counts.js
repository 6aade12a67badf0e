// The counts of the whole slide, and the list of hotspots.

import { atypiaNote, atypicalText } from "../lib/atypia.js";
import { element, make, refill } from "../lib/dom.js";
import { on, state } from "../lib/state.js";
import { regionsText } from "../lib/words.js";
import { chooseWindow } from "./header.js";

on("opened", () => {
  const { report } = state;
  element("counts-body").hidden = !report;
  Object.assign(element("atypia-note"), { textContent: atypiaNote(), hidden: !report?.atypia });
  element("atypical-row").hidden = !report?.atypia;
});
on("counts", show);
on("window", show);

function show() {
  const { counts } = state;
  if (!counts) return;
  const { counts: model, review } = counts;
  const bounded = regionsText(model.bounded_by);
  const tissue = `${model.tissue_area_mm2.toFixed(2)} mm² of ${bounded ? `tissue in ${bounded}` : "analysed tissue"}`;
  const none = bounded ? "The regions leave no tissue to count in." : "No tissue was found: there is nothing to count in.";
  element("count").textContent = model.mitotic_figures;
  element("density").textContent = density(model);
  element("reviewed").textContent = review.counts.mitotic_figures;
  element("reviewed-density").textContent = density(review.counts);
  element("atypical").textContent = atypicalText(model.atypical);
  element("reviewed-atypical").textContent = atypicalText(review.counts.atypical);
  element("tissue").textContent = model.tissue_area_mm2 > 0 ? tissue : none;
  element("warnings").replaceChildren(...counts.warnings.map((text) => make("li", { textContent: text })));
  const judged = review.accepted + review.rejected;
  element("reviewed-how").textContent = `${review.accepted} accepted, ${review.rejected} rejected, ${review.added} added; ${judged} of ${model.mitotic_figures} judged`;
  element("expected").textContent = expectedLine(model.expected, review.counts.expected);
  refill(element("hotspots"), counts.hotspots.map((hotspot, i) => row(hotspot, i, "hotspot")));
  refill(element("hotspots-reviewed"), review.hotspots.map((hotspot, i) => row(hotspot, i, "review")));
  if (!counts.hotspots.length) element("hotspots").append(make("li", { className: "hint", textContent: "No window with tissue enough holds a mitotic figure." }));
}

const density = ({ per_mm2: value }) => (value === null ? "–" : value.toFixed(1));

function expectedLine(model, after) {
  if (!model) return "";
  const range = model.interval ? ` (${model.interval.low.toFixed(0)} to ${model.interval.high.toFixed(0)})` : "";
  const own = after?.interval ? `; after review ${after.mitotic_figures.toFixed(1)} (${after.interval.low.toFixed(0)} to ${after.interval.high.toFixed(0)})` : "";
  return `Expected in the slide: ${model.mitotic_figures.toFixed(1)}${range}${own}: ${model.note}.`;
}

function row(hotspot, i, kind) {
  const name = `${kind}-${i}`;
  const button = make(
    "button",
    { "aria-current": state.window === name, dataset: { key: name } },
    make("b", { textContent: i + 1 }),
    make("span", { textContent: `model ${hotspot.mitotic_figures}, you ${hotspot.reviewed.mitotic_figures}` }),
    make("span", { textContent: `${(kind === "review" ? hotspot.reviewed : hotspot).per_mm2.toFixed(1)} per mm²` }),
  );
  button.addEventListener("click", () => chooseWindow(name));
  return make("li", {}, button);
}
