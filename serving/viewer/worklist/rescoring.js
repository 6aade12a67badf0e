// Slides are scored, or scored again with other options.

import { here, json, post } from "../lib/api.js";
import { element } from "../lib/dom.js";
import { actOnEach, askBy } from "./actions.js";
import { chosenRows } from "./chosen.js";
import { countText } from "./words.js";

let refresh = () => {};

/** Wire the button; `then` is called once analyses were submitted. */
export function startRescoring(then) {
  refresh = then;
  element("rescore").addEventListener("click", () => askAndScore(chosenRows().filter((row) => !row.deleted)));
}

/** Ask for the resolution of a slide whose file states none. */
export function stateResolution(row) {
  askAndScore([row], "rescore-mpp");
}

/** Submit an analysis of a slide that has come. mpp : µm/px of a file that states none, as text; empty where nobody says */
export function scoreNew(slide, mpp) {
  const cascade = element("cascade").value;
  return post(here("/v1/analyses"), { slide: slide.id, options: { ...(slide.mpp === null && mpp ? { mpp: Number(mpp) } : {}), ...(cascade ? { cascade } : {}) } });
}

/**
 * @param {any[]} rows
 * @param {string} [focus] Id of the field to begin at.
 */
async function askAndScore(rows, focus) {
  element("rescore-said").textContent = rows.length === 1 ? rows[0].name : countText(rows.length, "slide", "slides");
  sayModels();
  const asked = askBy(element("rescore-dialog"));
  if (focus) element(focus).focus();
  if (!(await asked)) return;
  const options = statedOptions();
  await actOnEach(rows, (row) => post(here("/v1/analyses"), { slide: row.slide, options }), "sent to be scored");
  refresh();
}

/** The options that somebody stated; the others are the server's. */
function statedOptions() {
  /** @type {Record<string, any>} */
  const options = { profile: element("rescore-profile").value, qc: element("rescore-qc").value };
  for (const name of ["threshold", "mpp"]) {
    const value = element(`rescore-${name}`).value;
    if (value) options[name] = Number(value);
  }
  const cascade = element("rescore-cascade").value;
  if (cascade) options.cascade = cascade;
  const release = element("rescore-release").value;
  if (release) options.release = Number(release);
  const roi = element("rescore-roi").value.trim();
  if (roi) options.roi = roi;
  return options;
}

/** Offer the releases that have served, and say which models serve now. */
async function sayModels() {
  const place = element("rescore-models");
  place.textContent = "";
  offerReleases().catch((error) => (place.textContent = error.message));
  try {
    const { models } = await json(here("/v1/models"));
    place.textContent = `The release that serves has ${models.map(({ name, version }) => `${name} ${version}`).join(", ")}. An administrator chooses it; releases that served before can be chosen here.`;
  } catch (error) {
    place.textContent = error.message;
  }
}

async function offerReleases() {
  const { releases } = await json(here("/v1/releases"));
  const name = ({ number, models }) => `${[...new Set(models.map((model) => model.split("@")[1]))].join(", ")} (release ${number})`;
  const former = releases.filter(({ serves }) => !serves).map((release) => new Option(name(release), release.number));
  element("rescore-release").replaceChildren(new Option("the release that serves", ""), ...former);
}
