// Every number for each side: the model, both readers, and their consensus.

import { element, make } from "../lib/dom.js";
import { currentWindow, on, state } from "../lib/state.js";

for (const name of /** @type {const} */ (["opened", "counts", "window"])) on(name, show);

function show() {
  const { counts } = state;
  const readings = counts?.readings ?? [];
  element("sides").hidden = !readings.length;
  for (const former of document.querySelectorAll("#window-counts .reader")) former.remove();
  element("window-you-name").textContent = readings.length ? "Consensus" : "You";
  element("reviewed-name").textContent = readings.length ? "after consensus" : "after your review";
  element("reviewed-density-name").textContent = readings.length ? "per mm², after consensus" : "per mm², after your review";
  element("report-stale").hidden = !counts?.signatures?.some((signature) => !signature.current);
  if (!readings.length) return;
  const current = currentWindow();
  if (current) element("window-counts").insertBefore(make("div", { className: "readers reader" }, ...readings.map((reading, i) => pair(reading, current.window.readings[i]))), element("window-you-pair"));
  const heads = ["", "Model", ...readings.map((reading) => reading.reviewer), "Consensus"];
  element("sides").tHead.replaceChildren(make("tr", {}, ...heads.map((text) => make("th", { textContent: text, scope: "col" }))));
  element("sides").tBodies[0].replaceChildren(...rowsOf(counts, current).map(row));
}

function pair(reading, window) {
  return make("div", { className: "pair" }, make("span", { className: "who", textContent: reading.reviewer }), make("output", { textContent: window.mitotic_figures }), make("small", { textContent: `${window.judged} judged` }));
}

function rowsOf(counts, current) {
  const rows = [];
  if (current) {
    const { window, name } = current;
    const sides = [window, ...window.readings, window.reviewed];
    rows.push([`${name}, ${window.area_mm2.toFixed(2)} mm²`, ...sides.map((side) => side.mitotic_figures)]);
    rows.push(["per mm²", ...sides.map((side) => side.per_mm2.toFixed(1))]);
    if (window.component) rows.push([window.component.title, ...sides.map((side) => side.component?.estimate ?? "–")]);
  }
  const slides = [counts.counts, ...counts.readings.map((reading) => reading.review.counts), counts.review.counts];
  rows.push(["Whole slide", ...slides.map((side) => side.mitotic_figures)]);
  rows.push(["per mm²", ...slides.map((side) => (side.per_mm2 === null ? "–" : side.per_mm2.toFixed(1)))]);
  return rows;
}

/** @param {any[]} cells */
function row(cells) {
  const [name, ...values] = cells;
  return make("tr", {}, make("th", { textContent: name, scope: "row" }), ...values.map((text) => make("td", { textContent: text })));
}
