// The places where a candidate and what serves disagree: /viewer/disagreements.html#shadow=NUMBER. For administrators.

import { element } from "../lib/dom.js";
import { here, json } from "../lib/api.js";
import { Pictures } from "../lib/pictures.js";

const MORE = 60;
const KINDS = {
  "only first": "what serves alone",
  "only second": "candidate alone",
  "fell below": "below its threshold",
  "rose above": "above its threshold",
};
const grid = element("gallery");
let places = [];
let next = null; // address of the next places
let turn = 0; // of the last thing that was asked for: what comes later than it is not shown any more

const pictures = new Pictures((canvas) => {
  const { place, ...where } = places[Number(canvas.dataset.index)];
  return { ...where, object: place };
});
const nearEnd = new IntersectionObserver((seen) => seen.some((s) => s.isIntersecting) && showMore());
const number = (value) => (value === null ? "–" : value.toPrecision(3));

/** Fill the list of shadows; the one that the address names, else the newest, is chosen. */
async function start() {
  try {
    const { shadows } = await json(here("/v1/registry/shadows"));
    const options = shadows.map((s) => new Option(`${s.number}: ${s.models.join(", ")} (${s.state}, ${s.analyses.succeeded} slides)`, s.number));
    element("shadow").replaceChildren(...options);
    const named = new URLSearchParams(location.hash.slice(1)).get("shadow");
    if (shadows.some((s) => String(s.number) === named)) element("shadow").value = named;
    if (!shadows.length) element("note").textContent = "No shadow has run yet: mitoserve models shadow starts one.";
    else await show();
  } catch (error) {
    element("note").textContent = error.message;
  }
}

/** Show the comparison and the first places of the chosen shadow. */
async function show() {
  const mine = ++turn;
  const chosen = element("shadow").value;
  history.replaceState(null, "", `#shadow=${chosen}`);
  grid.replaceChildren();
  places = [];
  try {
    const found = await json(here(`/v1/registry/shadows/${chosen}/comparison`));
    if (mine !== turn) return;
    showSummary(found);
    const kind = element("kind").value;
    next = here(`/v1/registry/shadows/${chosen}/disagreements?limit=${MORE}${kind ? `&kind=${encodeURIComponent(kind)}` : ""}`);
    await showMore();
    if (mine === turn) element("note").textContent = places.length ? `${places.length}${next ? " and more" : ""} places` : "No disagreements.";
  } catch (error) {
    if (mine === turn) element("note").textContent = error.message;
  }
}

function showSummary(found) {
  const { figures, places: at } = found;
  const rows = [
    ["What serves", found.first.join(", ") || "–"],
    ["Candidate", found.second.join(", ") || "–"],
    ["Slides", found.slides],
    ["Mitotic figures, mean", `${number(figures.mean_first)} and ${number(figures.mean_second)}; difference ${number(figures.mean_difference)} (limits of agreement ${number(figures.low)} to ${number(figures.high)})`],
    ["Places", `${at.both} of both, ${at.only_first} and ${at.only_second} of one alone; agreement ${number(at.agreement)}`],
    ["Hotspots", `mean overlap ${number(found.hotspot_iou)}`],
    ...found.categories.map((c) => [`Categories, ${c.profile}`, `kappa ${number(c.kappa)}`]),
  ];
  const made = (tag, textContent) => Object.assign(document.createElement(tag), { textContent });
  element("summary").replaceChildren(...rows.flatMap(([name, value]) => [made("dt", name), made("dd", value)]));
}

/** Append the next places. */
async function showMore() {
  const mine = turn;
  const address = next;
  nearEnd.disconnect();
  if (!address) return;
  next = null;
  const page = await json(address);
  if (mine !== turn) return;
  next = page.next;
  for (const found of page.places) grid.append(card(found, places.push(found) - 1));
  if (next) nearEnd.observe(grid.lastChild);
}

function card(found, index) {
  const { place } = found;
  const link = document.createElement("a");
  const [x, y] = [place.x + place.width / 2, place.y + place.height / 2].map((n) => n.toFixed(0));
  link.href = here(`/#analysis=${found.analysis}&x=${x}&y=${y}&zoom=1`);
  const picture = pictures.canvas();
  picture.dataset.index = index;
  const said = `${number(place.first)} / ${number(place.second)}`;
  link.append(picture, Object.assign(document.createElement("b"), { textContent: said }), KINDS[place.kind]);
  link.setAttribute("aria-label", `${found.slide_name}, ${KINDS[place.kind]}, probabilities ${said}`);
  link.title = found.slide_name;
  return link;
}

/** Move the focus `step` places on. */
function focusNext(step) {
  const index = [...grid.children].indexOf(document.activeElement);
  const at = index < 0 ? 0 : Math.min(Math.max(index + step, 0), grid.children.length - 1);
  grid.children[at]?.focus();
}

const KEYS = { j: 1, ArrowRight: 1, k: -1, ArrowLeft: -1 };
addEventListener("keydown", (event) => {
  const typing = /** @type {Element} */ (event.target).closest("input, select, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  focusNext(KEYS[event.key]);
});
element("shadow").addEventListener("change", show);
element("kind").addEventListener("change", show);
start();
