// Light or dark: as the system says, or as somebody chose.

import { element } from "../lib/dom.js";

const THEME = "mitoserve-theme";
const NAMES = { "": "as the system", light: "light", dark: "dark" };

/** Show the page light or dark; an empty name leaves it to the system. */
function showTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  const said = `Colours: ${NAMES[name]}`;
  Object.assign(element("theme"), { title: said }).setAttribute("aria-label", said);
}

let chosen = localStorage.getItem(THEME) ?? "";
if (!(chosen in NAMES)) chosen = "";
showTheme(chosen);
element("theme").addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const order = dark ? ["", "light", "dark"] : ["", "dark", "light"]; // the first press always changes something
  chosen = order[(order.indexOf(chosen) + 1) % order.length];
  localStorage.setItem(THEME, chosen);
  showTheme(chosen);
});
