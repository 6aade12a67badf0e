// Results in the formats that the server offers: with the threshold, the review, and the field that are on the page.

import { ask, here, json } from "../lib/api.js";
import { element, make } from "../lib/dom.js";
import { on, state } from "../lib/state.js";
import { toast } from "../lib/toast.js";
import { query } from "../count/counting.js";
import { whenSent } from "../review/sending.js";

const KEPT_MS = 60000;
/** Name, and how the file's name ends, by suffix of the address. */
const FORMATS = {
  pdf: ["Report, PDF", "report.pdf"],
  html: ["Report, web page", "report.html"],
  "appendix.pdf": ["Technical appendix, PDF", "appendix.pdf"],
  "appendix.html": ["Technical appendix, web page", "appendix.html"],
  json: ["Report, JSON", "report.json"],
  "detections.csv": ["Figures, CSV table", "figures.csv"],
  parquet: ["Figures, Parquet table", "figures.parquet"],
  csv: ["Tiles and scores, CSV table", "tiles.csv"],
  geojson: ["Figures for QuPath, GeoJSON", "figures.geojson"],
  "geojson.gz": ["Figures for QuPath, compressed", "figures.geojson.gz"],
  "asap.xml": ["Figures for ASAP, XML", "asap.xml"],
  "histomicsui.json": ["Figures for HistomicsUI, JSON", "histomicsui.json"],
  "coco.json": ["Figures, COCO", "coco.json"],
  "midog.json": ["Figures, MIDOG", "midog.json"],
  "ann.dcm": ["Figures, DICOM annotations", "annotations.dcm"],
  "sr.dcm": ["Report, DICOM", "report.dcm"],
  png: ["Map, picture (PNG)", "map.png"],
  tiff: ["Map, scores (TIFF)", "map.tif"],
  "ome.tif": ["Map, scores (OME-TIFF)", "map.ome.tif"],
};
/** Of what is no format of the report: name, and how the file's name ends, by the end of the address. */
const BESIDE = {
  "regions.geojson": ["Regions for QuPath, GeoJSON", "regions.geojson"],
  corrections: ["Corrections for training, GeoJSON", "corrections.geojson"],
};
/** They refer to the slide's own DICOM files, and can be made of no other slide. */
const OF_DICOM = ["ann.dcm", "sr.dcm"];
const menu = element("export");

on("opened", async () => {
  menu.disabled = !state.report;
  if (!menu.options.length) await fill();
  const isDicom = state.report?.slide.vendor === "dicom" && !state.slide.deleted;
  for (const option of menu.options) if (OF_DICOM.includes(option.value)) option.hidden = option.disabled = !isDicom;
});

async function fill() {
  menu.append(make("option", { textContent: "choose …", value: "" }));
  menu.append(...(await offers()).map((suffix) => new Option(FORMATS[suffix]?.[0] ?? suffix, suffix)));
  menu.append(...Object.entries(BESIDE).map(([address, [name]]) => new Option(name, address)));
}

/** Suffixes of the formats that this server offers, those that are known here first. */
async function offers() {
  const { paths } = await json(here("/openapi.json"));
  const { parameters } = paths["/v1/analyses/{analysis_id}/report.{suffix}"].get;
  const stated = parameters.find((p) => p.name === "suffix").description.replace(/^One of |\.$/g, "").split(", ");
  return [...Object.keys(FORMATS).filter((suffix) => stated.includes(suffix)), ...stated.filter((suffix) => !FORMATS[suffix])];
}

/** The slide's name without its suffix, as part of a file's name. */
const stem = () => state.slide.name.replace(/\.[A-Za-z0-9]{1,8}$/, "").replace(/[^\p{L}\p{N}._-]+/gu, "_") || "slide";

/** Save the result in a format, as it is seen. */
export async function download(chosen) {
  if (!state.analysis) return;
  try {
    await whenSent();
    const own = here(`/v1/analyses/${state.analysis.id}`);
    const address = BESIDE[chosen] ? `${own}/${chosen}` : `${own}/report.${chosen}?${query()}`;
    const content = await (await ask(address)).blob();
    const link = make("a", { href: URL.createObjectURL(content) });
    link.download = `${stem()}-${(BESIDE[chosen] ?? FORMATS[chosen])?.[1] ?? chosen}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
  } catch (error) {
    toast(error.message);
  }
}

menu.addEventListener("change", async () => {
  const chosen = menu.value;
  menu.value = "";
  if (chosen) await download(chosen);
});
