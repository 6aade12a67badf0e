// The worklist: reads a page of rows, keeps it new, and shows it.

import { here, json } from "../lib/api.js";
import { onReconnected } from "../lib/connection.js";
import { element } from "../lib/dom.js";
import { onTabs } from "../lib/tabs.js";
import { toast } from "../lib/toast.js";
import { startActions } from "./actions.js";
import { chooseNone, chosenRows, renewChosen, choose } from "./chosen.js";
import "./comparing.js";
import { onEarlier, renewEarlier } from "./earlier.js";
import { filterQuery, isFiltered, offerCases, onQuery, PAGE, pageOffset, pageQuery, turnTo } from "./query.js";
import { startRescoring, stateResolution } from "./rescoring.js";
import { drawRows } from "./table.js";
import { countText, isUnderWay } from "./words.js";

const RESTING_MS = 15000;
const WORKING_MS = 1500;
const MOST_AT_ONCE = 200;
/** @type {(slide: any, analysis: any) => void} */
let open = () => {};
const current = { slide: null, analysis: null };
let page = { rows: [], total: 0 };
let drawn = "";
let turn = 0;
let later;

/** Start; `onOpen(slide, analysis)` is called when somebody chooses one. */
export function startWorklist(onOpen) {
  open = onOpen;
  onQuery(refresh);
  onEarlier(() => draw({ anyway: true }));
  startActions(refresh);
  startRescoring(refresh);
  element("choose-all").addEventListener("click", () => chooseFound().catch((error) => toast(error.message)));
  element("choose-none").addEventListener("click", chooseNone);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && refresh());
  onReconnected(refresh);
  onTabs("slides", refresh);
  refresh();
}

/** Mark what is open. */
export function markCurrent(slide, analysis) {
  Object.assign(current, { slide: slide?.id ?? null, analysis: analysis?.id ?? null });
  draw({ anyway: true });
}

/** Read the page again. */
export async function refresh() {
  const mine = ++turn;
  clearTimeout(later);
  try {
    const found = await json(here(`/v1/worklist?${pageQuery()}`));
    if (mine !== turn) return;
    if (!found.rows.length && found.total) {
      turnTo(Math.floor((found.total - 1) / PAGE) * PAGE);
      return await refresh();
    }
    await renewEarlier(found.rows);
    page = found;
    draw();
    offerCases((await json(here("/v1/cases?limit=1000"))).cases); // rows do not wait for them
    if (mine !== turn) return;
    await sayWhyWaiting();
  } catch (error) {
    toast(error.message);
  } finally {
    // A page that nobody looks at asks rarely; what is under way changes by the second.
    const soon = document.visibilityState === "visible" && page.rows.some((row) => isUnderWay(row.latest));
    if (mine === turn) later = setTimeout(refresh, soon ? WORKING_MS : RESTING_MS);
  }
}

function draw({ anyway = false } = {}) {
  const now = JSON.stringify([page, current]);
  if (now !== drawn || anyway) {
    drawn = now;
    drawRows(page.rows, { open: openRow, resolve: stateResolution, current });
  }
  renewChosen(page.rows);
  const [first, last] = [pageOffset() + 1, pageOffset() + page.rows.length];
  element("page-said").textContent = page.total ? `${first} to ${last} of ${countText(page.total, "slide", "slides")}` : "";
  element("page-before").disabled = pageOffset() === 0;
  element("page-after").disabled = last >= page.total;
  element("no-slides").hidden = page.rows.length > 0;
  element("no-slides").textContent = isFiltered() ? "No slide is as you ask. Show all to see the others." : "No slides yet. Add some, or drop them on this page.";
}

function openRow(row, analysis) {
  open({ id: row.slide, name: row.name, width: row.width, height: row.height, mpp: row.mpp, case: row.case, deleted: row.deleted }, analysis);
}

/** Choose every row that was found, those of other pages too. */
async function chooseFound() {
  const query = filterQuery();
  query.set("limit", String(MOST_AT_ONCE));
  for (let offset = 0; offset < page.total; offset += MOST_AT_ONCE) {
    query.set("offset", String(offset));
    choose((await json(here(`/v1/worklist?${query}`))).rows, true);
  }
  if (!chosenRows().length) toast("There is nothing to choose.");
}

/** Say why slides wait where the server cannot score yet: its models are loaded, or it has no room. */
async function sayWhyWaiting() {
  const waiting = page.rows.some((row) => row.latest?.state === "queued") && !page.rows.some((row) => row.latest?.state === "running");
  const place = element("waiting");
  if (!waiting) {
    place.hidden = true;
    return;
  }
  const answer = await fetch(here("/readyz"), { cache: "no-store" }).catch(() => null);
  const problem = answer?.status === 503 ? await answer.json().catch(() => ({})) : {};
  place.textContent = problem.detail ? `Slides wait: ${problem.detail}` : "";
  place.hidden = !problem.detail;
}
