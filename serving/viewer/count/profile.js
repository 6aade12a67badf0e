// What is counted: area, shape and cut-offs of a kind of tumour, or one's own.

import { element, make } from "../lib/dom.js";
import { emit, on, state } from "../lib/state.js";

const BREAST = "breast-nottingham";
const OWN = "own";
/** Of the rows of the breast table, mm: ten fields of the diameter are counted. Without one it is the profile's own area. */
const DIAMETERS = Array.from({ length: 30 }, (_, i) => (0.4 + i / 100).toFixed(2));

/** The query of /counts and /report that goes with what is chosen. */
export function countingQuery() {
  const asked = new URLSearchParams({ hotspot_shape: element("shape").value });
  const profile = element("profile").value;
  if (profile === OWN) {
    asked.set("profile", "none");
    asked.set("hotspot_area", element("own-area").value || "2");
    const cutOffs = element("own-cut-offs").value.replaceAll(" ", "");
    if (/^\d+(,\d+)*$/.test(cutOffs)) asked.set("cut_offs", cutOffs);
    return asked;
  }
  asked.set("profile", profile);
  if (profile === BREAST && element("diameter").value) asked.set("field_diameter", element("diameter").value);
  return asked;
}

/**
 * Choose as a link states it.
 *
 * @param {{ profile?: string, shape?: string, diameter?: string, area?: string, cutOffs?: string }} chosen
 */
export function chooseProfile({ profile, shape, diameter = "", area, cutOffs }) {
  const select = element("profile");
  if ([...select.options].some((option) => option.value === profile)) select.value = profile;
  if (["rectangle", "disc", "fields"].includes(shape)) element("shape").value = shape;
  element("diameter").value = DIAMETERS.includes(diameter) ? diameter : "";
  if (area) element("own-area").value = area;
  if (cutOffs !== undefined) element("own-cut-offs").value = cutOffs;
  show();
}

/** Choose what the analysis counted with, so that the page shows what its report says. */
export function chooseAsAnalysed({ profile, hotspot_shape: shape, hotspot_area_mm2: area, field_diameter_mm: diameter, cut_offs: cutOffs }) {
  const usual = { [BREAST]: 2, "gep-net": 2, gist: 5, "canine-mast-cell": 2.37 }[profile];
  if (diameter && profile === BREAST) chooseProfile({ profile, shape, diameter: diameter.toFixed(2) });
  else if (usual === area) chooseProfile({ profile, shape });
  else chooseProfile({ profile: OWN, shape, area: String(area), cutOffs: cutOffs?.join(",") ?? "" });
}

/** What is chosen, as links hold it. */
export function chosenProfile() {
  const profile = element("profile").value;
  const shape = element("shape").value;
  if (profile === OWN) return { profile, shape, area: element("own-area").value, cutOffs: element("own-cut-offs").value };
  return profile === BREAST ? { profile, shape, diameter: element("diameter").value } : { profile, shape };
}

function show() {
  for (const id of ["profile", "diameter"]) element(id).title = element(id).selectedOptions[0].textContent; // where it is cut off
  element("diameter-row").hidden = element("profile").value !== BREAST;
  element("own-row").hidden = element("profile").value !== OWN;
  const known = state.counts?.profiles.find((p) => p.name === element("profile").value);
  element("profile-source").textContent = known ? `Source: ${known.source}.` : "Your own area and cut-offs; no publication stands behind them.";
}

function change() {
  show();
  emit("field"); // counted again: the size of windows changes
}

element("diameter").append(...DIAMETERS.map((d) => make("option", { value: d, textContent: `10 HPF of ${d} mm` })));
for (const id of ["profile", "shape", "diameter", "own-area", "own-cut-offs"]) element(id).addEventListener("change", change);
element("source-open").addEventListener("click", () => {
  const place = element("profile-source");
  place.hidden = !place.hidden;
  element("source-open").setAttribute("aria-expanded", String(!place.hidden));
});
on("counts", show);
show();
