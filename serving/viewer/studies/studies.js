// Studies: a list with how far readers are, what came out, and a new one of the slides that are chosen.

import { actingProject, ask, change, here, json, post } from "../lib/api.js";
import { element, make } from "../lib/dom.js";
import { on } from "../lib/state.js";
import { toast } from "../lib/toast.js";
import { askBy } from "../worklist/actions.js";
import { chosenRows } from "../worklist/chosen.js";
import { countText } from "../worklist/words.js";
import { startReading } from "./reading.js";

const KEPT_MS = 60000;
const TABLES = { readings: "Readings, CSV", slides: "Slides, CSV", agreement: "Agreement, CSV" };
const say = (error) => toast(error.message);
const nameOf = ({ author, reviewer }) => reviewer || author;
const minutes = (seconds) => `${(seconds / 60).toFixed(1)} min`;

async function showStudies() {
  const { studies } = await json(here("/v1/studies"));
  element("studies").replaceChildren(...studies.map(item));
  element("studies-none").hidden = studies.length > 0;
}

function item(study) {
  const readers = study.readers.map((reader) => readerLine(study, reader));
  const results = make("button", { className: "link", textContent: "Results", "aria-label": `Results of ${study.name}` });
  const place = make("div", { className: "study-results", role: "status" });
  results.addEventListener("click", () => showResults(study, place).catch((error) => (place.textContent = error.message)));
  const remove = make("button", { className: "link", textContent: "Delete …", "aria-label": `Delete ${study.name}` });
  remove.addEventListener("click", () => askAndRemove(study).catch(say));
  return make(
    "li",
    {},
    make("div", { className: "row" }, make("strong", { textContent: study.name }), make("small", { textContent: `${countText(study.slides, "slide", "slides")} · seed ${study.seed}` }), results, remove),
    make("ul", { className: "plain", "aria-label": `Readers of ${study.name}` }, ...readers),
    place,
  );
}

function readerLine(study, reader) {
  const line = make("li", { className: "row" }, make("span", { textContent: nameOf(reader) }), make("small", { textContent: `${reader.finished} of ${reader.slides} read · ${minutes(reader.active_s)}` }));
  if (!reader.you || reader.finished === reader.slides) return line;
  const button = make("button", { textContent: reader.finished ? "Go on" : "Read", "aria-label": `Read ${study.name} as ${nameOf(reader)}` });
  button.addEventListener("click", () => {
    element("studies-dialog").close();
    startReading(study.id, reader.reviewer);
  });
  line.append(button);
  return line;
}

async function showResults(study, place) {
  const found = await json(here(`/v1/studies/${study.id}/results`));
  const number = (value, digits = 2) => (value === null ? "not defined" : value.toFixed(digits));
  const { counts } = found;
  const interval = counts.low === null ? "" : ` (95 % interval ${number(counts.low)} to ${number(counts.high)})`;
  const lines = found.agreement.map(
    (pair) => `${pair.first} and ${pair.second}: same on ${pair.agreed} of ${pair.judged_by_both}${pair.judged_by_both ? ` (${Math.round((100 * pair.agreed) / pair.judged_by_both)} %)` : ""}, Cohen's κ ${number(pair.kappa)}`,
  );
  lines.push(`All readers: Fleiss' κ ${number(found.fleiss_kappa)} on ${countText(found.judged_by_all, "object", "objects")} that each of them judged`);
  lines.push(`Counts: ICC(2,1) ${number(counts.icc)}${interval} on ${countText(counts.slides, "slide", "slides")} that all have finished`);
  const buttons = Object.entries(TABLES).map(([table, text]) => {
    const button = make("button", { textContent: text });
    button.addEventListener("click", () => download(found.links[table], `${study.name}-${table}.csv`).catch(say));
    return button;
  });
  place.replaceChildren(resultsTable(found), make("ul", { className: "plain" }, ...lines.map((textContent) => make("li", { textContent }))), make("div", { className: "row tools" }, ...buttons));
}

/** Counts by slide and reader. */
function resultsTable({ study, slides }) {
  const head = ["Slide", "Model", ...study.readers.map(nameOf)].map((textContent) => make("th", { scope: "col", textContent }));
  const rows = slides.map((slide) => {
    const cells = slide.readings.map((one) => make("td", { textContent: `${one.mitotic_figures}${one.finished ? "" : " …"}`, title: `${minutes(one.active_s)}, ${one.unjudged} without a verdict` }));
    return make("tr", {}, make("th", { scope: "row", textContent: slide.slide_name }), make("td", { textContent: slide.model_mitotic_figures }), ...cells);
  });
  return make("table", { "aria-label": `Mitotic figures by reader, ${study.name}` }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
}

async function download(address, name) {
  const content = URL.createObjectURL(await (await ask(address)).blob());
  make("a", { href: content, download: name.replace(/[\\/:*?"<>|]/g, "_") }).click();
  setTimeout(() => URL.revokeObjectURL(content), KEPT_MS);
}

async function askAndRemove(study) {
  element("study-delete-said").textContent = `${study.name} goes with all that its readers said in it. Slides and analyses stay.`;
  if (!(await askBy(element("study-delete-dialog")))) return;
  await change("DELETE", here(`/v1/studies/${study.id}`));
  await showStudies();
}

// A new one.
async function askAndMake() {
  const rows = chosenRows().filter((row) => row.scored);
  const without = chosenRows().length - rows.length;
  if (!rows.length) {
    toast("Choose slides that are scored: a study is of their results.");
    return;
  }
  const me = await json(here("/v1/me"));
  const able = actingProject() ? (await json(here(`/v1/projects/${actingProject()}`))).members.filter(({ role }) => role !== "reader").map(({ principal }) => principal) : [];
  element("study-said").textContent = `${countText(rows.length, "slide", "slides")}, each with its newest result${without ? `; ${without} without a result stay out` : ""}.`;
  element("study-readers").value = able.join("\n");
  element("study-readers-help").textContent = able.length
    ? "One a line: the id of a member of the project, and a name behind it if several people use that key."
    : "One name a line. Everybody reads with your key; work with a project, and people read with their own.";
  const answer = await askBy(element("study-dialog"));
  if (!answer) return;
  const stated = element("study-readers").value.split("\n").map((line) => line.trim()).filter(Boolean);
  const readers = stated.map((line) => readReader(line, able, me.id));
  const seed = element("study-seed").value;
  await post(here("/v1/studies"), { name: element("study-name").value, analyses: rows.map((row) => row.scored.id), readers, ...(seed ? { seed: Number(seed) } : {}) });
  await openStudies();
}

/** Who a line names: a member's id and a name behind it, or a name of somebody with one's own key. */
function readReader(line, able, me) {
  const author = able.find((id) => line === id || line.startsWith(`${id} `));
  return author ? { author, reviewer: line.slice(author.length).trim() } : { author: me, reviewer: line };
}

async function openStudies() {
  await showStudies();
  if (!element("studies-dialog").open) element("studies-dialog").showModal();
}

element("studies-open").addEventListener("click", () => openStudies().catch(say));
element("studies-close").addEventListener("click", () => element("studies-dialog").close());
element("study-make").addEventListener("click", () => askAndMake().catch(say));
on("read", () => openStudies().catch(say));
