// What is asked of the worklist: searched, filtered, sorted, and which page.

import { element } from "../lib/dom.js";
import { state } from "../lib/state.js";

export const PAGE = 50;
const TYPING_MS = 200;
const SORT = "mitoserve-sort";
const CHOICES = { state: "filter-state", reviewed: "filter-reviewed", warnings: "filter-warnings" };
let offset = 0;

/** Rows before the first of the page. */
export const pageOffset = () => offset;

/** The query of the rows as the controls say, without the page. */
export function filterQuery() {
  const [sort, order] = element("sort").value.split(" ");
  const query = new URLSearchParams({ sort, order });
  const search = element("search").value.trim();
  if (search) query.set("search", search);
  if (element("filter-case").value !== "any") query.set("case", element("filter-case").value);
  for (const [name, id] of Object.entries(CHOICES)) if (element(id).value) query.set(name, element(id).value);
  if (state.reviewer) query.set("reviewer", state.reviewer);
  return query;
}

/** The query of the page that is shown. */
export function pageQuery() {
  const query = filterQuery();
  query.set("offset", String(offset));
  query.set("limit", String(PAGE));
  return query;
}

/** Whether the rows stand by their cases. */
export const isByCase = () => element("sort").value.startsWith("case");

/** Whether some slides may be hidden by what was asked. */
export const isFiltered = () => {
  const query = filterQuery();
  return ["search", "case", "state", "reviewed", "warnings"].some((name) => query.has(name));
};

/** Show the page of a place in the list. */
export function turnTo(place) {
  offset = Math.max(place, 0);
}

/** Show one case alone. */
export function showCase(name) {
  const select = element("filter-case");
  if (![...select.options].some((option) => option.value === name)) select.append(new Option(name, name));
  select.value = name;
  select.dispatchEvent(new Event("change", { bubbles: true }));
}

/** Offer the cases there are. */
export function offerCases(cases) {
  const select = element("filter-case");
  const chosen = select.value;
  const names = cases.map(({ name }) => name);
  if (chosen && chosen !== "any" && !names.includes(chosen)) names.push(chosen);
  select.replaceChildren(new Option("all cases", "any"), new Option("without a case", ""), ...names.map((name) => new Option(name, name)));
  select.value = chosen;
  element("assign-cases").replaceChildren(...names.map((name) => new Option(name)));
}

/** Call `then` whenever somebody asks for other rows. */
export function onQuery(then) {
  let typing;
  const changed = () => {
    offset = 0;
    then();
  };
  element("sort").value = localStorage.getItem(SORT) || "case ascending";
  if (!element("sort").value) element("sort").value = "case ascending";
  element("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(changed, TYPING_MS);
  });
  element("filters").addEventListener("change", (event) => {
    if (event.target.id === "search") return;
    localStorage.setItem(SORT, element("sort").value);
    changed();
  });
  element("filters").addEventListener("submit", (event) => event.preventDefault());
  element("filters").addEventListener("reset", (event) => {
    event.preventDefault();
    element("search").value = "";
    element("filter-case").value = "any";
    for (const id of Object.values(CHOICES)) element(id).value = "";
    changed();
  });
  const turn = (by) => {
    offset = Math.max(offset + by, 0);
    then();
    element("worklist").scrollTo({ top: 0 });
  };
  element("page-before").addEventListener("click", () => turn(-PAGE));
  element("page-after").addEventListener("click", () => turn(PAGE));
}
