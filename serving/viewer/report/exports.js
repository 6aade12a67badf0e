// Results in the formats that the server offers.

import { element } from "../lib/dom.js";
import { ask, here, json } from "../lib/api.js";
import { on, state } from "../lib/state.js";
import { toast } from "../lib/toast.js";

const NAMES = {
  "application/json": ["Report, JSON", "report.json"],
  "application/geo+json": ["QuPath, GeoJSON", "detections.geojson"],
  "text/csv": ["Table, CSV", "tiles.csv"],
  "image/png": ["Map, PNG", "mitosis-map.png"],
  "image/tiff": ["Map, TIFF", "mitosis-map.tif"],
  "application/pdf": ["Report, PDF", "report.pdf"],
  "text/html": ["Report, HTML", "report.html"],
  "application/xml": ["ASAP, XML", "annotations.xml"],
  "application/dicom": ["DICOM annotations", "annotations.dcm"],
};
const CORRECTIONS = "corrections";
const menu = element("export");

on("opened", async () => {
  menu.disabled = !state.report;
  if (menu.options.length) return;
  const document_ = await json(here("/openapi.json"));
  const offers = Object.keys(document_.paths["/v1/analyses/{analysis_id}/report"].get.responses["200"].content);
  menu.append(new Option("choose …", ""), ...offers.map((type) => new Option(NAMES[type]?.[0] ?? type, type)), new Option("Corrections, GeoJSON", CORRECTIONS));
});

menu.addEventListener("change", async () => {
  const type = menu.value;
  menu.value = "";
  if (!type || !state.analysis) return;
  try {
    const own = here(`/v1/analyses/${state.analysis.id}`);
    const response = type === CORRECTIONS ? await ask(`${own}/corrections`) : await ask(`${own}/report`, { headers: { Accept: type } });
    const stated = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = stated ?? `${state.slide.name}-${NAMES[type]?.[1] ?? "export"}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  } catch (error) {
    toast(error.message);
  }
});
