// Which layers are shown, and how.

import { element } from "../lib/dom.js";
import { drawLegend } from "./colours.js";
import { colourOf } from "./mask.js";
import { emit, on, state } from "../lib/state.js";


/** Show a layer, or hide it. */
export function toggle(name) {
  state.layers[name] = !state.layers[name];
  show();
}

function show() {
  for (const [name, shown] of Object.entries(state.layers)) element(`layer-${name}`).checked = shown;
  element("legend").hidden = !(state.map && state.layers.map);
  element("legend-light").hidden = !state.map?.light;
  showMaskLegend();
  element("opacity-value").textContent = `${Math.round(state.opacity * 100)} %`;
  emit("layers");
}

/** What the colours of the mask's layers mean, and how much there is of each. */
function showMaskLegend() {
  const { report, mask, layers } = state;
  const shown = report && mask && (layers.tissue || layers.quality);
  element("mask-legend").hidden = !shown;
  if (!shown) return;
  const rows = layers.tissue ? [entry("tissue", report.tissue.area_mm2)] : [];
  if (layers.quality) {
    const areas = (report.quality?.areas ?? []).filter((area) => area.reason !== "background");
    rows.push(...areas.map((area) => entry(area.reason, area.area_mm2)));
    if (!mask.controlled) rows.push(Object.assign(document.createElement("li"), { textContent: "Quality was not controlled." }));
  }
  element("mask-legend").replaceChildren(...rows);
}

function entry(name, mm2) {
  const item = document.createElement("li");
  const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
  swatch.style.background = colourOf(name);
  item.append(swatch, `${name} `, Object.assign(document.createElement("output"), { textContent: `${mm2.toFixed(3)} mm²` }));
  return item;
}

function colour() {
  const name = element("colours").value;
  drawLegend(element("legend-bar"), name);
  state.map?.colour(name);
  show();
}

for (const name of Object.keys(state.layers)) element(`layer-${name}`).addEventListener("change", () => toggle(name));
element("opacity").addEventListener("input", (event) => {
  state.opacity = Number(event.target.value);
  show();
});
element("colours").addEventListener("change", colour);
on("opened", colour);
