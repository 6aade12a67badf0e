// The line that stays over the slide: what is counted, by whom, in which area, and what the count amounts to.

import { atypicalText } from "../lib/atypia.js";
import { element, make } from "../lib/dom.js";
import { currentWindow, emit, on, state } from "../lib/state.js";
import { regionsText } from "../lib/words.js";
import { goTo } from "../map/slide.js";
import { isCounting } from "./counting.js";

const UM_PER_PX_20X = 0.5;

/** Show a window at 20x: where one judges figures. */
export function showWindow() {
  const current = currentWindow();
  if (!current) return;
  const { x, y, width, height } = current.window;
  goTo(x + width / 2, y + height / 2, state.report.slide.mpp / UM_PER_PX_20X, { at: "glide" });
}

/** Choose a window and go there. */
export function chooseWindow(name) {
  state.window = name;
  emit("window");
  showWindow();
}

/** Go to the next hotspot. */
export function nextWindow() {
  const count = state.counts?.hotspots.length ?? 0;
  if (!count) return;
  const now = /^hotspot-(\d+)$/.exec(state.window);
  chooseWindow(`hotspot-${now ? (Number(now[1]) + 1) % count : 0}`);
}

function show() {
  const { counts } = state;
  element("count-header").hidden = !state.report;
  element("count-header").setAttribute("aria-busy", String(isCounting()));
  element("counting").hidden = !isCounting();
  if (!counts || !state.report) return;
  showChoices(counts);
  const current = currentWindow();
  element("window-counts").hidden = !current;
  element("no-window").hidden = Boolean(current);
  if (!current) return;
  const { window } = current;
  const { reviewed } = window;
  element("window-model").textContent = window.mitotic_figures;
  element("window-you").textContent = reviewed.mitotic_figures;
  element("window-judged").textContent = `${reviewed.judged} of ${window.mitotic_figures} judged`;
  element("window-density").textContent = `${window.per_mm2.toFixed(1)} | ${reviewed.per_mm2.toFixed(1)}`;
  const atypical = window.atypical ? `· atypical ${atypicalText(window.atypical)} | ${atypicalText(reviewed.atypical)}` : "";
  Object.assign(element("window-atypical"), { textContent: atypical, hidden: !atypical });
  element("window-area").textContent = areaText(counts.counting, window);
  const bounded = regionsText(counts.counts.bounded_by);
  element("window-tissue").textContent = `${Math.round(100 * window.tissue_fraction)} % ${bounded ? `tissue in ${bounded}` : "tissue"}`;
  element("window-component").replaceChildren(...componentText(window));
  element("window-expected").textContent = expectedText(window);
}

function areaText(counting, window) {
  const shape = window.shape === "disc" ? "disc" : window.parts ? `in ${window.parts.length} connected fields${window.exact ? "" : " (search cut short)"}` : "4:3 rectangle";
  const fields = counting.field_diameter_mm ? `${counting.fields} HPF of ${counting.field_diameter_mm.toFixed(2)} mm, ` : "";
  return `${fields}${window.area_mm2.toFixed(2)} mm² ${shape}`;
}

function componentText({ component, reviewed }) {
  if (!component) return ["No cut-offs are chosen"];
  const title = make("span", { textContent: `${component.title}: `, title: component.source });
  if (component.estimate === null) return [title, component.reason];
  const yours = reviewed.component;
  const same = component.estimate === yours.estimate;
  const result = same ? component.estimate : `model ${component.estimate}, you ${yours.estimate}`;
  return [title, make("b", { textContent: result }), ` (cut-offs ${component.cut_offs.join(" and ")})`];
}

function expectedText(window) {
  const { expected_figures: figures, expected_interval: interval, reviewed } = window;
  if (reviewed.expected_interval) return `expected ${rounded(reviewed.expected_interval[0])} to ${rounded(reviewed.expected_interval[1])}`;
  if (interval) return `expected ${rounded(interval[0])} to ${rounded(interval[1])}`;
  return figures === null ? "" : `expected ${figures.toFixed(1)}`;
}

const rounded = (value) => Math.round(value);

/** The list of windows: hotspots of the model, those after review, the field. */
function showChoices(counts) {
  const line = (name, window, value) => make("option", { value, textContent: `${name}: model ${window.mitotic_figures}, you ${window.reviewed.mitotic_figures}` });
  const options = counts.hotspots.map((hotspot, i) => line(`Hotspot ${i + 1}`, hotspot, `hotspot-${i}`));
  options.push(...(counts.review?.hotspots ?? []).map((hotspot, i) => line(`After review ${i + 1}`, hotspot, `review-${i}`)));
  if (counts.fields[0]) options.push(line("Field", counts.fields[0], "field"));
  const select = element("window-choice");
  select.replaceChildren(...options);
  const known = [...select.options].some((option) => option.value === state.window);
  // A field that was just placed is in the numbers that are on their way.
  if (!known && !isCounting()) state.window = options[0]?.value ?? "hotspot-0";
  select.value = state.window;
  select.title = select.selectedOptions[0]?.textContent ?? "";
}

element("window-choice").addEventListener("change", () => chooseWindow(element("window-choice").value));
element("window-go").addEventListener("click", showWindow);
for (const name of /** @type {const} */ (["opened", "counting", "counts", "window"])) on(name, show);
