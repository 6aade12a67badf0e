// Whether the server is in reach: said on the page while it is not, and to whoever waits for it.

import { element } from "./dom.js";

/** What somebody is told whose change did not get through. */
export const UNREACHABLE = "The server cannot be reached; nothing was recorded. Try again.";
const PAUSES_MS = [500, 1000, 2000, 3000, 5000];
const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const bus = new EventTarget();
let waiting = null;

/** Call `then` each time the server is in reach again. */
export function onReconnected(then) {
  bus.addEventListener("reconnected", () => then());
}

/** Whether an answer says that a proxy has no server behind it. */
export const isGateway = (status) => status === 502 || status === 504;

/** Resolves once the server answers; meanwhile the page says that it does not. */
export function reach() {
  waiting ??= poll().finally(() => (waiting = null));
  return waiting;
}

async function poll() {
  if (await answers()) return;
  const sign = element("offline");
  if (sign) sign.hidden = false;
  for (let tries = 0; ; tries++) {
    await new Promise((resolve) => setTimeout(resolve, PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)]));
    if (await answers()) break;
  }
  if (sign) sign.hidden = true;
  bus.dispatchEvent(new Event("reconnected"));
}

async function answers() {
  try {
    const { status } = await fetch(`${ROOT}/livez`, { cache: "no-store" });
    return !isGateway(status);
  } catch {
    return false;
  }
}
