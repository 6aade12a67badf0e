// What other tabs of this browser are told: that a review or the list of slides has changed.

const channel = new BroadcastChannel("mitoserve");

/**
 * Tell the other tabs.
 *
 * @param {"reviews" | "regions" | "slides"} what
 * @param {string} [analysis]
 */
export function tellTabs(what, analysis) {
  channel.postMessage({ what, analysis });
}

/**
 * Hear the other tabs.
 *
 * @param {"reviews" | "regions" | "slides"} what
 * @param {(analysis: string | undefined) => void} then
 */
export function onTabs(what, then) {
  channel.addEventListener("message", ({ data }) => data.what === what && then(data.analysis));
}
