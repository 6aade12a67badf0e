// A passing message.

import { onReconnected, UNREACHABLE } from "./connection.js";
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

// That the server is away is not said any more once it is back.
onReconnected(() => {
  if (element("toast").textContent === UNREACHABLE) element("toast").hidden = true;
});
