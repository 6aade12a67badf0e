// The report on the page: the one sheet that the server makes, printed as it is shown, and signed.

import { ask, here, post } from "../lib/api.js";
import { element, make } from "../lib/dom.js";
import { on, state } from "../lib/state.js";
import { tellTabs } from "../lib/tabs.js";
import { toast } from "../lib/toast.js";
import { query, recount } from "../count/counting.js";
import { download } from "../report/exports.js";
import { isAtReport, showScreen } from "../page/screens.js";
import { openReading } from "./stage.js";

const root = element("report-sheet").attachShadow({ mode: "open" });
const style = new CSSStyleSheet();
root.adoptedStyleSheets = [style];
const STYLE = /<style>([^<]*)<\/style>/;
let asked = 0;

element("show-report").addEventListener("click", () => showScreen("report"));
for (const name of /** @type {const} */ (["screen", "counts"])) on(name, show);
on("opened", () => (element("show-report").disabled = !state.report));

async function show() {
  if (!isAtReport() || !state.counts) return;
  const mine = ++asked;
  showSignatures();
  element("report-loading").hidden = false;
  try {
    const page = await (await ask(here(`/v1/analyses/${state.analysis.id}/report.html?${query()}`))).text();
    if (mine !== asked) return;
    // The page's own policy allows no style inside it: it is taken out before, and adopted.
    const made = new DOMParser().parseFromString(page.replace(STYLE, ""), "text/html");
    style.replaceSync(STYLE.exec(page)[1]);
    root.replaceChildren(make("article", { className: "sheet" }, ...document.importNode(made.querySelector("main"), true).childNodes));
    element("report-loading").hidden = true;
  } catch (error) {
    if (mine === asked) toast(error.message);
  }
}

function showSignatures() {
  const { signatures, identity } = state.counts;
  const reading = openReading();
  const last = signatures[0];
  element("report-sign").disabled = Boolean(reading) || !identity;
  const said = last
    ? `${last.current ? "Signed" : "No longer current: verdicts or regions were changed since it was signed"} by ${last.reviewer || last.name || last.author}, ${last.at.replace("T", " ").slice(0, 16)} UTC.`
    : "Not signed.";
  element("report-said").textContent = reading ? "You have a reading to finish; then it can be signed." : said;
  element("report-said").classList.toggle("problem", Boolean(last && !last.current));
}

async function sign() {
  /** @type {Record<string, any>} */
  const asPage = Object.fromEntries(query());
  for (const name of ["threshold", "hotspot_area", "field_diameter"]) if (asPage[name]) asPage[name] = Number(asPage[name]);
  try {
    await post(here(`/v1/analyses/${state.analysis.id}/signatures`), { ...asPage, name: state.reviewer, identity: state.counts.identity });
    tellTabs("reviews", state.analysis.id);
    toast("Signed.");
  } catch (error) {
    toast(error.message);
  }
  await recount();
}

element("report-sign").addEventListener("click", () => {
  const { review, counts } = state.counts;
  element("sign-said").textContent = `${state.reviewer || "You"}: ${review.counts.mitotic_figures} mitotic figures on the slide after review, the model ${counts.mitotic_figures}. Name, time and these counts are recorded.`;
  element("sign-dialog").returnValue = "";
  element("sign-dialog").showModal();
});
element("sign-dialog").addEventListener("close", () => element("sign-dialog").returnValue === "ok" && sign());
element("sign-dialog").querySelector(".close").addEventListener("click", () => element("sign-dialog").close());
element("report-print").addEventListener("click", () => window.print());
element("report-pdf").addEventListener("click", () => download("pdf"));
element("report-appendix").addEventListener("click", () => download("appendix.pdf"));
