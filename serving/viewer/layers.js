// Which layers are shown, and how.

import { drawLegend } from "./colours.js";
import { emit, on, state } from "./state.js";

const element = (id) => document.getElementById(id);

/** Show a layer, or hide it. */
export function toggle(name) {
  state.layers[name] = !state.layers[name];
  show();
}

function show() {
  for (const [name, shown] of Object.entries(state.layers)) element(`layer-${name}`).checked = shown;
  element("legend").hidden = !(state.map && state.layers.map);
  element("opacity-value").textContent = `${Math.round(state.opacity * 100)} %`;
  emit("layers");
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
