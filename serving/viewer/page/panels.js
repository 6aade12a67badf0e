// The two panels beside the slide, and the tabs of the right one.

import { element } from "../lib/dom.js";
import { emit, state } from "../lib/state.js";

/** As wide as this the page has room for one panel beside the slide. */
const NARROW = matchMedia("(max-width: 1100px)");
const PANEL_HIDES = 800;
let wantsPanel = innerWidth > PANEL_HIDES;

const isShown = (name) => !document.body.classList.contains(`no-${name}`);

function setShown(name, shown) {
  document.body.classList.toggle(`no-${name}`, !shown);
  element(`toggle-${name}`).setAttribute("aria-expanded", String(shown));
}

/** The list takes the place of the findings where there is no room for both, and gives it back: neither covers the count. */
function fit() {
  setShown("panel", wantsPanel && !(NARROW.matches && isShown("library")));
}

element("toggle-library").addEventListener("click", () => {
  setShown("library", !isShown("library"));
  fit();
});
element("toggle-panel").addEventListener("click", () => {
  wantsPanel = !isShown("panel");
  if (wantsPanel && NARROW.matches) setShown("library", false);
  fit();
});
NARROW.addEventListener("change", () => {
  if (NARROW.matches && state.slide) setShown("library", false);
  fit();
});
fit();

/** @type {NodeListOf<HTMLElement>} */
const list = document.querySelectorAll("[role=tab]");
const tabs = [...list];

/** Name of the tab that is shown. */
export const chosenTab = () => tabs.find((tab) => tab.getAttribute("aria-selected") === "true").getAttribute("aria-controls");

/** Show a tab by its name; an unknown one changes nothing. */
export function showTab(name) {
  const chosen = tabs.find((tab) => tab.getAttribute("aria-controls") === name);
  if (!chosen) return;
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
    element(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
  }
  emit("tab");
}

tabs.forEach((tab, i) => {
  tab.addEventListener("click", () => showTab(tab.getAttribute("aria-controls")));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(i + step + tabs.length) % tabs.length];
    next.focus();
    showTab(next.getAttribute("aria-controls"));
  });
});
