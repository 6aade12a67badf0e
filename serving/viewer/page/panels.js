// The two panels beside the slide, and the tabs of the right one.

import { element } from "../lib/dom.js";

for (const [button, name] of [["toggle-library", "no-library"], ["toggle-panel", "no-panel"]]) {
  element(button).addEventListener("click", () => {
    const hidden = document.body.classList.toggle(name);
    element(button).setAttribute("aria-expanded", String(!hidden));
  });
}
if (innerWidth <= 800) element("toggle-panel").click();

/** @type {NodeListOf<HTMLElement>} */
const list = document.querySelectorAll("[role=tab]");
const tabs = [...list];

function showTab(chosen) {
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
    element(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
  }
}
tabs.forEach((tab, i) => {
  tab.addEventListener("click", () => showTab(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(i + step + tabs.length) % tabs.length];
    next.focus();
    showTab(next);
  });
});
