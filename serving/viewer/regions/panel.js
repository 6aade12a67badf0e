// The list of regions beside the slide, with what they leave of the tissue.

import { element, make, refill } from "../lib/dom.js";
import { on, state } from "../lib/state.js";
import { regionsText } from "../lib/words.js";
import { toast } from "../lib/toast.js";
import { goToBox } from "../map/slide.js";
import { chooseRegion, removeRegion } from "./drawing.js";
import { canUndo, changeRegions, undoRegions } from "./regions.js";
import { boundsOf, cornersOf } from "./shapes.js";

const USES = { within: "counted in", exclude: "left out" };

function show() {
  const regions = state.report ? state.regions : [];
  refill(element("regions"), regions.map(row));
  element("regions-undo").disabled = !canUndo();
  element("regions-clear").disabled = !regions.length;
  for (const tool of ["polygon", "rectangle", "brush"]) element(`tool-${tool}`).setAttribute("aria-pressed", String(state.tool === tool));
  note();
}

function note() {
  const bounded = regionsText(state.counts?.counts.bounded_by ?? []);
  const model = bounded && state.counts.counts.bounded_by.includes("regions model") ? state.report.regions?.model : null;
  const whose = model ? ` The regions are those of ${model.name} ${model.version}, until you draw or delete some.` : "";
  const area = state.counts?.counts.tissue_area_mm2 ?? 0;
  const outside = state.outside.filter(({ id }) => !id.startsWith("candidate-")).length;
  element("regions-note").textContent = bounded
    ? `Counted in ${area.toFixed(2)} mm² of tissue; ${outside} of the model's figures lie outside.${whose}`
    : "All of the analysed tissue. Draw on the slide what to count in, such as tumour, or what to leave out, such as necrosis.";
}

function row(region, i) {
  const corners = cornersOf(region);
  const what = region.name.toLowerCase() === USES[region.use] ? region.name : `${region.name}, ${USES[region.use]}`;
  const choose = make(
    "button",
    { "aria-pressed": state.region === i, disabled: !corners, dataset: { key: `region-${i}` }, title: "Show it, and move its corners" },
    make("i", { className: `mark ${region.use}`, "aria-hidden": "true" }),
    make("span", { textContent: `${i + 1} ${what}` }),
    make("small", { textContent: `${corners} corners` }),
  );
  choose.addEventListener("click", () => {
    const chosen = state.region === i;
    chooseRegion(chosen ? -1 : i);
    if (!chosen) goToBox(boundsOf(region), 1.4);
  });
  const remove = make("button", { textContent: "Delete", dataset: { key: `delete-${i}` }, "aria-label": `Delete region ${i + 1}, ${what}` });
  remove.addEventListener("click", () => removeRegion(i));
  return make("li", {}, choose, remove);
}

for (const name of /** @type {const} */ (["opened", "regions", "tool"])) on(name, show);
on("counts", note);
element("regions-undo").addEventListener("click", () => undoRegions() || toast("Nothing was drawn here that could be taken back."));
element("regions-clear").addEventListener("click", () => changeRegions(() => []));
