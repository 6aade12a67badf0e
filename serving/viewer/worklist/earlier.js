// The analyses of a slide before its newest result: fetched when somebody asks for them.

import { all, here } from "../lib/api.js";
import { make } from "../lib/dom.js";
import { toast } from "../lib/toast.js";
import { rowKey } from "./chosen.js";
import { optionsText, stateClass, stateText, timeText } from "./words.js";

/** @type {Map<string, any[]>} Analyses by the keys of the rows that show them. */
const shown = new Map();
let redraw = () => {};

/** Call `then` when other rows are to be drawn. */
export function onEarlier(then) {
  redraw = then;
}

/** Read the analyses of the rows that show them again. */
export async function renewEarlier(rows) {
  await Promise.all(rows.filter((row) => shown.has(rowKey(row))).map((row) => read(row)));
}

/** The button that shows them, or hides them. */
export function earlierButton(row) {
  const is = shown.has(rowKey(row));
  const button = make("button", {
    className: "link earlier-button",
    textContent: is ? "Hide analyses" : `All ${row.analyses} analyses`,
    "aria-expanded": is,
    "aria-label": `${is ? "Hide" : "Show all"} analyses of ${row.name}`,
    dataset: { key: `earlier ${rowKey(row)}` },
  });
  button.addEventListener("click", async () => {
    if (!shown.delete(rowKey(row))) await read(row);
    redraw();
  });
  return button;
}

/** The row below a slide's with its analyses; none where they are not shown. */
export function earlierRow(row, { open, current }) {
  const analyses = shown.get(rowKey(row));
  if (!analyses) return [];
  const items = analyses.map((analysis) => {
    const button = make("button", { className: "analysis", dataset: { id: analysis.id, key: `analysis ${analysis.id}` } });
    const figures = analysis.summary ? `${analysis.summary.mitotic_figures} figures` : "";
    button.append(
      make("span", { className: stateClass(analysis), textContent: stateText(analysis) }),
      make("span", { textContent: figures }),
      make("span", { textContent: optionsText(analysis) }),
      make("time", { dateTime: analysis.created_at, textContent: timeText(analysis.created_at) }),
    );
    button.setAttribute("aria-current", String(analysis.id === current.analysis));
    button.addEventListener("click", () => open(row, analysis));
    return make("li", {}, button);
  });
  const list = make("ul", { className: "plain", "aria-label": `Analyses of ${row.name}` }, ...items);
  return [make("tr", { role: "row", className: "earlier" }, make("td", { role: "cell", colSpan: 10 }, list))];
}

async function read(row) {
  try {
    shown.set(rowKey(row), await all(here(`/v1/analyses?slide=${row.slide}&limit=200&owner=${encodeURIComponent(row.owner)}`), "analyses"));
  } catch (error) {
    toast(error.message);
  }
}
