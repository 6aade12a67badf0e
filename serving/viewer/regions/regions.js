// Where figures are counted: the server keeps it beside the result, and counts again when it changes.

import { here, json } from "../lib/api.js";
import { heard } from "../lib/changes.js";
import { reach } from "../lib/connection.js";
import { emit, on, state } from "../lib/state.js";
import { onTabs, tellTabs } from "../lib/tabs.js";
import { toast } from "../lib/toast.js";
import { Candidates } from "../map/candidates.js";
import { countedIn, NOTHING, readRegions, writeRegions } from "./shapes.js";

/** @type {import("./shapes.js").Region[][]} What was drawn before, the last at the end. */
let before = [];
/** @type {Promise<void>} Changes go to the server one after the other. */
let last = Promise.resolve();
let lately = "reviews"; // what somebody did last, which Ctrl+Z takes back

on("opened", () => {
  before = [];
  lately = "reviews";
});
on("reviews", () => (lately = "reviews"));

/** The regions of an analysis as it was scored, of its report. */
export function scoredRegions({ settings: { counting } }) {
  const uses = /** @type {const} */ (["within", "exclude"]);
  const regions = uses.flatMap((use) => (counting?.[use] ?? []).map(({ name, polygons }) => ({ use, name, polygons })));
  return counting?.within?.length === 0 ? [NOTHING, ...regions] : regions;
}

/** The regions of an analysis. */
export const fetchRegions = async (analysis) => read(await json(here(`/v1/analyses/${analysis}/regions`)));

function read(view) {
  heard.regions = view.entries.at(-1)?.number ?? 0;
  return readRegions(view);
}

/** Hold regions: what lies outside is no candidate any more. */
export function holdRegions(regions) {
  const counts = countedIn(regions);
  const inside = ({ x, y, width, height }) => counts(x + width / 2, y + height / 2);
  const counted = regions.length ? state.found.filter(inside) : state.found;
  const kept = new Set(counted);
  state.regions = regions;
  state.isCounted = regions.length ? inside : () => true;
  state.outside = regions.length ? state.found.filter((found) => !kept.has(found)) : [];
  state.candidates = new Candidates(counted);
  if (state.region >= regions.length) Object.assign(state, { region: -1, corner: null });
  const { corner } = state;
  const ring = corner && regions[state.region]?.polygons[corner.polygon]?.[corner.ring];
  if (corner && !(ring && corner.index < ring.length - 1)) state.corner = null; // it was taken back, or somebody else drew
}

function showRegions(regions) {
  holdRegions(regions);
  emit("regions");
}

/** Do something once all that was asked for before it is done; what fails is said, and holds up nothing. */
function enqueue(act) {
  last = last.then(act).catch((error) => toast(error.message));
}

/**
 * Count in other regions from now on. They are shown at once, and taken back where the server refuses them.
 *
 * @param {(regions: import("./shapes.js").Region[]) => import("./shapes.js").Region[]} change
 * @param {{ use: string, points: [number, number][], width: number }} [stroke]
 */
export function changeRegions(change, stroke) {
  const { analysis } = state;
  if (state.study) {
    toast("In a study all readers count in the regions that the slide was scored with.");
    return last;
  }
  enqueue(async () => {
    const now = state.regions;
    if (state.analysis?.id === analysis.id && (await send(analysis, change(now), stroke))) {
      before.push(now);
      emit("tool");
    }
  });
  return last;
}

/** Whether the server has taken the regions. */
async function send(analysis, regions, stroke) {
  const now = state.regions;
  showRegions(regions);
  const isOpen = () => state.analysis?.id === analysis.id && state.report;
  try {
    const body = JSON.stringify({ ...writeRegions(regions, stroke), reviewer: state.reviewer });
    const view = await put(analysis, body);
    if (isOpen()) showRegions(read(view));
    lately = "regions";
    tellTabs("regions", analysis.id);
    return true;
  } catch (error) {
    if (isOpen()) showRegions(now);
    toast(error.message);
    return false;
  }
}

/** What the server makes of regions. All of them are stated, so that they are told again where nobody knows whether they arrived. */
async function put(analysis, body) {
  for (;;) {
    try {
      return await json(here(`/v1/analyses/${analysis.id}/regions`), { method: "PUT", headers: { "Content-Type": "application/json" }, body });
    } catch (error) {
      if (!error.unreachable) throw error;
      await reach();
    }
  }
}

/** Take back the last drawing of this page; false where there is none. */
export function undoRegions() {
  if (!before.length) return false;
  const { analysis } = state;
  enqueue(async () => {
    const regions = before.pop();
    if (regions && state.analysis?.id === analysis.id && !(await send(analysis, regions))) before.push(regions);
  });
  return true;
}

/** Whether the last thing that somebody did was to draw. */
export const drewLast = () => lately === "regions" && before.length > 0;
export const canUndo = () => before.length > 0;

onTabs("regions", (analysis) => state.analysis?.id === analysis && readAgain());
on("regions-elsewhere", readAgain);

/** Read what somebody else drew, after what is on its way from here. */
function readAgain() {
  const { analysis } = state;
  enqueue(async () => {
    if (!state.report || state.analysis.id !== analysis.id) return;
    const regions = await fetchRegions(analysis.id).catch(() => null);
    if (regions && state.report && state.analysis.id === analysis.id) showRegions(regions);
  });
}
