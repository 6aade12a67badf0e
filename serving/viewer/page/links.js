// Links to a position: #analysis=ID&x=…&y=…&zoom=…, level-0 px and screen px per level-0 px.

import { element } from "../lib/dom.js";
import { here } from "../lib/api.js";
import { position, viewer } from "../map/slide.js";
import { on, state } from "../lib/state.js";
import { toast } from "../lib/toast.js";

/** What the address names: {analysis, slide, x, y, zoom}, absent where it does not. */
export function readLink() {
  const stated = new URLSearchParams(location.hash.slice(1));
  const path = /\/v1\/analyses\/([^/]+)\/view$/.exec(location.pathname);
  const number = (name) => (stated.has(name) && Number.isFinite(Number(stated.get(name))) ? Number(stated.get(name)) : undefined);
  return { analysis: stated.get("analysis") ?? path?.[1], slide: stated.get("slide") ?? undefined, x: number("x"), y: number("y"), zoom: number("zoom") };
}

/** The address of what is seen now. */
export function link() {
  const { x, y, zoom } = position();
  const stated = new URLSearchParams(state.analysis ? { analysis: state.analysis.id } : { slide: state.slide.id });
  stated.set("x", x.toFixed(0));
  stated.set("y", y.toFixed(0));
  stated.set("zoom", zoom.toPrecision(4));
  return `${location.origin}${here("/")}${location.search}#${stated}`;
}

/** Copy it for somebody else. */
export async function copyLink() {
  if (!state.slide) return;
  try {
    await navigator.clipboard.writeText(link());
    toast("The link to this position is copied.");
  } catch {
    toast(link());
  }
}

const keep = () => state.slide && viewer.isOpen() && history.replaceState(null, "", link());
viewer.addHandler("animation-finish", keep);
on("opened", keep);
element("copy-link").addEventListener("click", copyLink);
