// Results in the formats that the server offers: with the threshold, the review, and the field that are on the page.

import { ask, here, json } from "../lib/api.js";
import { element, make } from "../lib/dom.js";
import { on, state } from "../lib/state.js";
import { toast } from "../lib/toast.js";
import { query } from "../count/counting.js";

const KEPT_MS = 60000;
/** Name, and how the file's name ends, by suffix of the address. */
const FORMATS = {
  pdf: ["Report, PDF", "report.pdf"],
  html: ["Report, web page", "report.html"],
  json: ["Report, JSON", "report.json"],
  "detections.csv": ["Figures, CSV table", "figures.csv"],
  "detections.parquet": ["Figures, Parquet table", "figures.parquet"],
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
const CORRECTIONS = "corrections";
const menu = element("export");

on("opened", async () => {
  menu.disabled = !state.report;
  if (menu.options.length) return;
  menu.append(make("option", { textContent: "choose …", value: "" }));
  menu.append(...(await offers()).map((suffix) => new Option(FORMATS[suffix]?.[0] ?? suffix, suffix)));
  menu.append(new Option("Corrections for training, GeoJSON", CORRECTIONS));
});

/** Suffixes of the formats that this server offers, those that are known here first. */
async function offers() {
  const { paths } = await json(here("/openapi.json"));
  const { parameters } = paths["/v1/analyses/{analysis_id}/report.{suffix}"].get;
  const stated = parameters.find((p) => p.name === "suffix").description.replace(/^One of |\.$/g, "").split(", ");
  return [...Object.keys(FORMATS).filter((suffix) => stated.includes(suffix)), ...stated.filter((suffix) => !FORMATS[suffix])];
}

/** The slide's name without its suffix, as part of a file's name. */
const stem = () => state.slide.name.replace(/\.[A-Za-z0-9]{1,8}$/, "").replace(/[^\p{L}\p{N}._-]+/gu, "_") || "slide";

menu.addEventListener("change", async () => {
  const chosen = menu.value;
  menu.value = "";
  if (!chosen || !state.analysis) return;
  try {
    const own = here(`/v1/analyses/${state.analysis.id}`);
    const address = chosen === CORRECTIONS ? `${own}/corrections` : `${own}/report.${chosen}?${query()}`;
    const content = await (await ask(address)).blob();
    const link = make("a", { href: URL.createObjectURL(content) });
    link.download = `${stem()}-${chosen === CORRECTIONS ? "corrections.geojson" : (FORMATS[chosen]?.[1] ?? chosen)}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
  } catch (error) {
    toast(error.message);
  }
});
