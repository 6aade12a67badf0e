// The two panels beside the slide, and the tabs of the right one.

import { element } from "../lib/dom.js";
import { emit } from "../lib/state.js";

const NARROW = 800;

for (const [button, name] of [["toggle-library", "no-library"], ["toggle-panel", "no-panel"]]) {
  element(button).addEventListener("click", () => {
    const hidden = document.body.classList.toggle(name);
    element(button).setAttribute("aria-expanded", String(!hidden));
  });
}
if (innerWidth <= NARROW) element("toggle-panel").click();

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
