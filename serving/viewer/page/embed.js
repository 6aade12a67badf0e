// In a frame of another page: what it may ask (postMessage), and what it is told.
//
// To the viewer:   {type: "mitoserve:key", key}, {type: "mitoserve:open", analysis}, {type: "mitoserve:go", x, y, zoom},
//                  {type: "mitoserve:threshold", value}: once an analysis is open
// From the viewer: {type: "mitoserve:ready"}, {type: "mitoserve:opened", analysis, count}, {type: "mitoserve:moved", x, y, zoom},
//                  {type: "mitoserve:counted", threshold, count}, {type: "mitoserve:selected", id}
// Only a site that the server lets frame its pages (frame-ancestors) can be the parent, and only the parent is listened to.

import { setKey } from "../lib/api.js";
import { setThreshold } from "../count/threshold.js";
import { goTo, position, viewer } from "../map/slide.js";
import { on, over, state } from "../lib/state.js";

/** Listen to the page around; `open(id)` opens an analysis. */
export function startEmbedding(open) {
  if (window.parent === window) return;
  document.body.classList.add("embedded");
  let origin = null;
  const tell = (type, more = {}) => origin && window.parent.postMessage({ type: `mitoserve:${type}`, ...more }, origin);
  const asked = {
    key: ({ key }) => setKey(String(key)),
    open: ({ analysis }) => open(String(analysis)),
    go: ({ x, y, zoom }) => state.slide && [x, y, zoom].every(Number.isFinite) && goTo(x, y, zoom),
    threshold: ({ value }) => state.report && Number.isFinite(value) && setThreshold(value),
  };
  addEventListener("message", (event) => {
    if (event.source !== window.parent || typeof event.data?.type !== "string") return;
    const [project, what] = event.data.type.split(":");
    if (project !== "mitoserve" || !Object.hasOwn(asked, what)) return;
    origin = event.origin; // what the viewer says of slides goes to the page that spoke, and to no page that replaced it
    asked[what](event.data);
  });
  on("opened", () => tell("opened", { analysis: state.report ? state.analysis.id : null, count: over() }));
  on("threshold", () => tell("counted", { threshold: state.threshold, count: over() }));
  on("selected", () => tell("selected", { id: state.selected }));
  viewer.addHandler("animation-finish", () => state.slide && tell("moved", position()));
  window.parent.postMessage({ type: "mitoserve:ready" }, "*"); // says nothing but that one may speak
}
