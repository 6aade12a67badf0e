// Which rows are chosen; they stay so on other pages of the list.

import { element, findAll } from "../lib/dom.js";
import { countText } from "./words.js";

/** @type {Map<string, any>} Rows by their keys. */
const chosen = new Map();
let shown = [];

/** What tells rows apart: administrators see the same slide of several owners. */
export const rowKey = (row) => `${row.owner} ${row.slide}`;

/** The rows that are chosen. */
export const chosenRows = () => [...chosen.values()];

export const isChosen = (row) => chosen.has(rowKey(row));

/** Whether rows can stand side by side: two slides, or one with several analyses. */
export function canCompare(rows) {
  if (rows.some((row) => row.deleted)) return false;
  return rows.length === 2 || (rows.length === 1 && Boolean(rows[0].scored) && rows[0].analyses > 1);
}

/** Choose rows, or not. */
export function choose(rows, on) {
  for (const row of rows) {
    if (on) chosen.set(rowKey(row), row);
    else chosen.delete(rowKey(row));
  }
  showChoice();
}

/** Choose none. */
export function chooseNone() {
  chosen.clear();
  showChoice();
}

/** Take over what the rows of a page have become. */
export function renewChosen(rows) {
  shown = rows;
  for (const row of rows) if (isChosen(row)) chosen.set(rowKey(row), row);
  showChoice();
}

function showChoice() {
  const rows = chosenRows();
  element("chosen-count").textContent = rows.length ? `${countText(rows.length, "slide", "slides")} chosen` : "Nothing is chosen";
  element("choose-none").disabled = !rows.length;
  element("assign").disabled = !rows.some((row) => !row.deleted);
  element("rescore").disabled = !rows.some((row) => !row.deleted);
  element("cancel").disabled = !rows.some((row) => row.latest && ["queued", "running"].includes(row.latest.state));
  element("delete").disabled = !rows.length;
  element("compare").disabled = !canCompare(rows);
  element("study-make").disabled = !rows.some((row) => row.scored);
  for (const box of findAll(".choose", element("slides"))) box.checked = chosen.has(box.dataset.row);
  for (const box of findAll(".choose-case", element("slides"))) {
    const own = shown.filter((row) => (row.case ?? "") === box.dataset.case);
    box.checked = own.length > 0 && own.every(isChosen);
    box.indeterminate = !box.checked && own.some(isChosen);
  }
}
