// How a page talks to the viewer in a frame; embed.js lists the messages.

import { element } from "../lib/dom.js";

const frame = element("viewer");
const said = element("said");
const server = new URL(frame.src).origin;
const say = (type, more = {}) => frame.contentWindow.postMessage({ type: `mitoserve:${type}`, ...more }, server);

addEventListener("message", (event) => {
  if (event.origin !== server || event.source !== frame.contentWindow) return;
  if (event.data.type === "mitoserve:ready") say("open", { analysis: location.hash.slice(1) });
  said.textContent = `${JSON.stringify(event.data)}\n${said.textContent}`.slice(0, 20000);
});
element("corner").addEventListener("click", () => say("go", { x: 500, y: 500, zoom: 1 }));
element("strict").addEventListener("click", () => say("threshold", { value: 0.9 }));
