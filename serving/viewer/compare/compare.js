// Two slides, or two analyses of one, next to each other. The address holds what is seen:
//
// #left=ANALYSIS&right=ANALYSIS, or left-slide=ID and right-slide=ID of slides without one, lx, ly, lz, rx, ry, rz: the middles (level-0 px) and
// zooms (screen px per level-0 px), linked=no where the sides move apart, project. Without a right side it is the analysis before.

import { actingProject, all, here, json } from "../lib/api.js";
import { element } from "../lib/dom.js";
import { toast } from "../lib/toast.js";
import "../page/theme.js";
import { findLink, findShared, followLeft, followRight, scales } from "./linking.js";
import { Pane } from "./pane.js";

const KEPT_MS = 200;
const SAME_UM = 7.5; // as the server has it: nearer places are one figure
const left = new Pane("left");
const right = new Pane("right");
export const panes = [left, right];
let leader = left;
/** @type {import("./linking.js").Link | null} */
let link = null;
let ready = false;
let later;
let opening = Promise.resolve(); // what was asked for, one after another
let known = ""; // the part of the address that is shown, as it was last read or written

const isLinked = () => element("linked").checked;
const mpps = () => scales(left.slide.mpp, right.slide.mpp);

/** Hold the sides together as they lie now. */
function takeLink() {
  link = ready && isLinked() ? findLink(left.view(), right.view(), mpps()) : null;
}

/** The other side follows the one that somebody moves. */
function follow(pane) {
  if (!ready) return;
  keep();
  if (!link || pane !== leader) return;
  if (pane === left) right.show(followRight(left.view(), link, mpps()));
  else left.show(followLeft(right.view(), link, mpps()));
}

/** Do something once all that was asked for before it is done; `tell` gets its error. */
function enqueue(act, tell) {
  opening = opening.then(act).catch(tell);
}

for (const pane of panes) {
  pane.moved = () => follow(pane);
  pane.taken = () => (leader = pane);
  pane.part("analysis").addEventListener("change", () => enqueue(() => exchange(pane), (error) => refuse(pane, error)));
}

/** Another analysis of the same slide on one side. */
async function exchange(pane) {
  if (!ready) throw new Error("The other side could not be opened.");
  await pane.open({ analysis: pane.part("analysis").value });
  markShared();
  keep();
}

/** Say why, and offer what is shown as what is chosen. */
function refuse(pane, error) {
  pane.part("analysis").value = pane.analysis?.id ?? "";
  toast(error.message);
}

function markShared() {
  const same = left.slide.id === right.slide.id && left.slide.width === right.slide.width && left.analysis && right.analysis;
  const reach = SAME_UM / (left.slide.mpp ?? 1);
  left.isShared = same ? findShared(right.figures, reach) : () => true;
  right.isShared = same ? findShared(left.figures, reach) : () => true;
  for (const pane of panes) pane.draw();
}

function readAddress() {
  const stated = new URLSearchParams(location.hash.slice(1));
  const view = (side) => {
    const [x, y, zoom] = ["x", "y", "z"].map((name) => (stated.has(side + name) ? Number(stated.get(side + name)) : NaN));
    return [x, y, zoom].every(Number.isFinite) && zoom > 0 ? { x, y, zoom } : null;
  };
  const side = (name) => ({ analysis: stated.get(name), slide: stated.get(`${name}-slide`) });
  return { left: side("left"), right: side("right"), views: [view("l"), view("r")], linked: stated.get("linked") !== "no" };
}

function address() {
  const stated = new URLSearchParams();
  for (const pane of panes) {
    if (pane.analysis) stated.set(pane.side, pane.analysis.id);
    else stated.set(`${pane.side}-slide`, pane.slide.id);
    const { x, y, zoom } = pane.view();
    stated.set(`${pane.side[0]}x`, x.toFixed(0));
    stated.set(`${pane.side[0]}y`, y.toFixed(0));
    stated.set(`${pane.side[0]}z`, zoom.toPrecision(4));
  }
  if (!isLinked()) stated.set("linked", "no");
  if (actingProject()) stated.set("project", actingProject());
  return `${location.origin}${location.pathname}#${stated}`;
}

/** The address of a side in the viewer. */
function aloneAddress(pane) {
  const { x, y, zoom } = pane.view();
  const stated = new URLSearchParams({ ...(pane.analysis ? { analysis: pane.analysis.id } : { slide: pane.slide.id }), x: x.toFixed(0), y: y.toFixed(0), zoom: zoom.toPrecision(4) });
  if (actingProject()) stated.set("project", actingProject());
  return `${here("/")}#${stated}`;
}

function keep() {
  clearTimeout(later);
  later = setTimeout(() => {
    if (!ready || location.hash !== known) return; // another one was asked for, and is shown next
    history.replaceState(null, "", address());
    known = location.hash;
    for (const pane of panes) pane.part("open").href = aloneAddress(pane);
  }, KEPT_MS);
}

/** What stands on the right where the address does not say: the analysis of the same slide that came before. */
async function findOther({ analysis, slide }) {
  if (!analysis) return { analysis: null, slide };
  const { slide: id } = await json(here(`/v1/analyses/${encodeURIComponent(analysis)}`));
  const offered = await all(here(`/v1/analyses?slide=${id}&state=succeeded&limit=200`), "analyses");
  const index = offered.findIndex((one) => one.id === analysis);
  return { analysis: (offered[index + 1] ?? offered[index - 1] ?? offered[index]).id, slide: null };
}

async function start() {
  known = location.hash;
  const asked = readAddress();
  if (!asked.left.analysis && !asked.left.slide) throw new Error("Nothing is named here. Choose two slides in the worklist, then Side by side.");
  element("linked").checked = asked.linked;
  ready = false;
  document.body.ariaBusy = "true";
  const other = asked.right.analysis || asked.right.slide ? asked.right : await findOther(asked.left);
  await Promise.all([left.open(asked.left), right.open(other)]);
  markShared();
  document.title = `${left.slide.name} | ${right.slide.name} · Mitoserve`;
  if (asked.views[0]) left.show(asked.views[0]);
  if (asked.views[1]) right.show(asked.views[1]);
  else if (left.slide.id === right.slide.id) right.show(left.view());
  else if (asked.linked) {
    // The same scale, each in the middle of its slide.
    const [one, of] = mpps();
    right.show({ x: right.slide.width / 2, y: right.slide.height / 2, zoom: (left.view().zoom / one) * of });
  }
  leader = left;
  ready = true;
  document.body.ariaBusy = "false";
  takeLink();
  keep();
}

element("linked").addEventListener("change", () => {
  takeLink();
  keep();
});

/** Ask for the address with the sides exchanged. */
function swap() {
  if (!ready) return; // the address could not be opened, which is said
  const [one, other] = panes.map((pane) => [pane.analysis ? [pane.side, pane.analysis.id] : [`${pane.side}-slide`, pane.slide.id], pane.view()]);
  const stated = new URLSearchParams();
  for (const [side, [[name, id], { x, y, zoom }]] of /** @type {[string, any][]} */ ([["left", other], ["right", one]])) {
    stated.set(name.endsWith("-slide") ? `${side}-slide` : side, id);
    for (const [key, value] of [["x", x.toFixed(0)], ["y", y.toFixed(0)], ["z", zoom.toPrecision(4)]]) stated.set(`${side[0]}${key}`, value);
  }
  if (!isLinked()) stated.set("linked", "no");
  location.hash = `#${stated}`;
}

element("swap").addEventListener("click", () => enqueue(swap, say));
element("copy-link").addEventListener("click", async () => {
  if (!ready) return; // there is nothing to link to
  try {
    await navigator.clipboard.writeText(address());
    toast("The link to both sides is copied.");
  } catch {
    toast(address());
  }
});
const say = (error) => {
  document.body.ariaBusy = "false";
  for (const pane of panes) pane.part("said").textContent = error.message;
};
addEventListener("hashchange", () => enqueue(start, say));
enqueue(start, say);
