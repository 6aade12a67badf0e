// A passing message.

import { element } from "./dom.js";

const SHOWN_MS = 6000;
let hiding;

/** Show a message for some seconds. */
export function toast(text) {
  const place = element("toast");
  place.textContent = text;
  place.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => (place.hidden = true), SHOWN_MS);
}
