// The panel beside the slide, and its tabs.

import { element } from "../lib/dom.js";
import { emit } from "../lib/state.js";

const PANEL_HIDES = 800;

function setPanelShown(shown) {
  document.body.classList.toggle("no-panel", !shown);
  element("toggle-panel").setAttribute("aria-expanded", String(shown));
}

element("toggle-panel").addEventListener("click", () => setPanelShown(document.body.classList.contains("no-panel")));
setPanelShown(innerWidth > PANEL_HIDES);

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
