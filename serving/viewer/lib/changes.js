// What others do with the open analysis, on whichever server they are: the page hears of it, and reads it again.

import { follow, here } from "./api.js";
import { emit, on, state } from "./state.js";

const AGAIN_MS = 1000;
const LATER_MS = 15000;
/** @type {AbortController | null} */
let following = null;

/** @type {{ reviews: number, regions: number }} What the page has read: numbers of the last entries. */
export const heard = { reviews: 0, regions: 0 };

/** What the server has told last of what is open. */
let told = { reviews: -1, regions: -1 };

/** Follow what is open, while somebody looks at it: a browser has few lines to a server, and hidden pages need none. */
function attend() {
  following?.abort();
  following = null;
  told = { reviews: -1, regions: -1 };
  if (!state.report || !state.analysis || document.visibilityState !== "visible") return;
  following = new AbortController();
  listen(state.analysis.id, following.signal);
}

async function listen(analysis, signal) {
  while (!signal.aborted) {
    let rest = AGAIN_MS;
    try {
      await follow(here(`/v1/analyses/${analysis}/changes`), (_, now) => !signal.aborted && hear(now), signal);
    } catch (error) {
      if (error.status) rest = LATER_MS; // it was removed, or is not to be seen any more
    }
    await new Promise((resolve) => setTimeout(resolve, rest));
  }
}

function hear(now) {
  for (const what of /** @type {const} */ (["reviews", "regions"])) {
    const isNew = now[what] !== told[what] && now[what] !== heard[what];
    told[what] = now[what];
    if (isNew) emit(what === "reviews" ? "reviews-elsewhere" : "regions-elsewhere");
  }
}

on("opened", attend);
document.addEventListener("visibilitychange", attend);
