// The table of the worklist: a row a slide, under its case where the rows stand by cases.

import { element, make } from "../lib/dom.js";
import { choose, isChosen, rowKey } from "./chosen.js";
import { earlierButton, earlierRow } from "./earlier.js";
import { isByCase, showCase } from "./query.js";
import { thumbnail } from "./thumbnails.js";
import { countText, lacksResolution, modelsText, optionsText, stateClass, stateText, timeText, whyText } from "./words.js";

const COLUMNS = 10;

/**
 * Draw rows.
 *
 * @param {any[]} rows As /v1/worklist gives them.
 * @param {{ open: (row: any, analysis: any) => void, resolve: (row: any) => void, current: { slide: string, analysis: string } }} actions
 *   What a click does: open a slide, or state its resolution; what is open now.
 */
export function drawRows(rows, actions) {
  const table = element("slides");
  const focused = /** @type {HTMLElement} */ (document.activeElement);
  const key = table.contains(focused) ? focused.dataset.key : null;
  const bodies = [];
  for (const group of groups(rows)) {
    const body = make("tbody", { role: "rowgroup" });
    if (isByCase()) body.append(caseRow(group));
    for (const row of group) body.append(slideRow(row, actions), ...earlierRow(row, actions));
    bodies.push(body);
  }
  for (const body of [...table.tBodies]) body.remove();
  table.append(...bodies);
  table.hidden = rows.length === 0;
  if (key) table.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

function groups(rows) {
  if (!isByCase()) return rows.length ? [rows] : [];
  return [...Map.groupBy(rows, (row) => row.case).values()];
}

function caseRow(group) {
  const name = group[0].case;
  const said = name ?? "Without a case";
  const box = make("input", { type: "checkbox", className: "choose-case", "aria-label": `Choose ${name ? `case ${name}` : "slides without a case"}`, dataset: { key: `case ${name}`, case: name ?? "" } });
  box.addEventListener("change", () => choose(group, box.checked));
  return make(
    "tr",
    { role: "row", className: "case" },
    make("td", { role: "cell" }, box),
    make("th", { role: "rowheader", scope: "rowgroup", colSpan: COLUMNS - 1 }, make("strong", { textContent: said }), ` ${countText(group.length, "slide", "slides")} on this page`),
  );
}

function slideRow(row, actions) {
  const name = make("button", { className: "name link", textContent: row.name, title: row.name, dataset: { key: `name ${rowKey(row)}` } });
  const shown = row.scored ?? row.latest;
  name.addEventListener("click", () => actions.open(row, shown));
  const box = make("input", { type: "checkbox", className: "choose", checked: isChosen(row), "aria-label": `Choose ${row.name}`, dataset: { key: `choose ${rowKey(row)}`, row: rowKey(row) } });
  box.addEventListener("change", () => choose([row], box.checked));
  const line = make(
    "tr",
    { role: "row", className: "slide-row", dataset: { slide: row.slide } },
    cell("choice", "", box),
    cell("picture-cell", "", thumbnail(row)),
    cell("slide-name", "", name, facts(row)),
    cell("number", "Model", ...modelCount(row)),
    cell("number", "You", ...ownCount(row)),
    cell("number", "per mm²", ...density(row)),
    cell("state", "", ...states(row, actions)),
    cell("warned", "", ...warnings(row)),
    cell("when", "", make("time", { dateTime: row.created_at, textContent: timeText(row.created_at) })),
    cell("options", "", ...options(row)),
  );
  if (row.slide === actions.current.slide) line.setAttribute("aria-current", "true");
  return line;
}

/** A cell; `label` says on narrow pages, where no header stands above, what it holds. */
function cell(name, label, ...children) {
  return make("td", { role: "cell", className: name, dataset: { label } }, ...children);
}

function facts(row) {
  const place = make("small", {});
  if (row.case && !isByCase()) {
    const button = make("button", { className: "link case-name", textContent: row.case, title: `Show case ${row.case} alone`, dataset: { key: `of ${rowKey(row)}` } });
    button.addEventListener("click", () => showCase(row.case));
    place.append(button, " · ");
  }
  if (row.deleted) place.append("deleted; counts and report are kept");
  else place.append(`${row.width.toLocaleString("en")} × ${row.height.toLocaleString("en")} px${row.mpp ? ` · ${row.mpp.toPrecision(3)} µm/px` : " · no resolution stated"}`);
  return place;
}

const hasTissue = ({ scored }) => scored?.summary && scored.summary.per_mm2 !== null;

function modelCount(row) {
  return hasTissue(row) ? [make("output", { textContent: String(row.scored.summary.mitotic_figures) })] : ["–"];
}

function ownCount(row) {
  if (!hasTissue(row)) return ["–"];
  const others = row.readers - (row.reviewed ? 1 : 0);
  const said = others > 0 ? make("small", { textContent: countText(others, "other reader", "other readers") }) : "";
  if (!row.reviewed) return [make("span", { className: "unread", textContent: "not read" }), said];
  const { mitotic_figures, judged } = row.reviewed;
  return [make("output", { textContent: String(mitotic_figures) }), make("small", { textContent: `${judged} of ${row.scored.summary.mitotic_figures} judged` }), said];
}

function density(row) {
  if (!hasTissue(row)) return ["–"];
  const { per_mm2, tissue_area_mm2 } = row.scored.summary;
  return [make("output", { textContent: per_mm2.toFixed(per_mm2 < 10 ? 2 : 1) }), make("small", { textContent: `of ${Number(tissue_area_mm2.toPrecision(3))} mm²` })];
}

function states(row, actions) {
  const { latest } = row;
  if (!latest) return [make("span", { textContent: "not scored" })];
  const found = [make("span", { className: stateClass(latest), textContent: stateText(latest) })];
  const { tiles_done: done, tiles_total: total } = latest.progress;
  if (latest.state === "running" && total) found.push(make("progress", { max: total, value: done, "aria-label": `Progress of ${row.name}` }));
  const why = whyText(latest);
  if (why) found.push(make("small", { textContent: why }));
  if (lacksResolution(latest) && !row.deleted) {
    const button = make("button", { className: "link", textContent: "State it …", "aria-label": `State the resolution of ${row.name}`, dataset: { key: `mpp ${rowKey(row)}` } });
    button.addEventListener("click", () => actions.resolve(row));
    found.push(button);
  }
  if (row.analyses > 1) found.push(earlierButton(row));
  return found;
}

function warnings({ scored, unsent }) {
  const late = unsent ? [`${countText(unsent, "file", "files")} of the result could not be sent where the operator wants them`] : [];
  const said = [...(scored?.summary?.warnings ?? []), ...late];
  if (!said.length) return [""];
  const list = make("ul", { className: "plain" }, ...said.map((textContent) => make("li", { textContent })));
  return [make("details", {}, make("summary", { textContent: countText(said.length, "warning", "warnings") }), list)];
}

function options(row) {
  const shown = row.scored ?? row.latest;
  if (!shown) return [""];
  return [optionsText(shown), make("small", { textContent: modelsText(shown) && `models ${modelsText(shown)}` })];
}
