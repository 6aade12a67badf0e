// Slides and analyses at the server, and slides on their way to it.

import { all, ask, authorization, follow, here, json, post } from "./api.js";
import { toast } from "./state.js";

const PIECE = 8 * 2 ** 20;
const RETRIES_MS = [0, 1000, 3000, 5000, 10000, 20000];
const REFRESH_MS = 15000;
const STREAMS = 3; // a browser opens six connections to a server, and tiles need some
const element = (id) => document.getElementById(id);
const followed = new Map();
const pictures = new Map();
let open = () => {};
let current = { slide: null, analysis: null };

/** Start; `onOpen(slide, analysis)` is called when somebody chooses one. */
export function startLibrary(onOpen) {
  open = onOpen;
  refresh();
  setInterval(() => document.visibilityState === "visible" && refresh(), REFRESH_MS);
}

/** Mark what is open. */
export function markCurrent(slide, analysis) {
  current = { slide: slide?.id ?? null, analysis: analysis?.id ?? null };
  for (const button of document.querySelectorAll("#slides .analysis")) button.setAttribute("aria-current", button.dataset.id === current.analysis);
}

/** Read both lists again. */
export async function refresh() {
  try {
    const [slides, analyses] = await Promise.all([all(here("/v1/slides?limit=200"), "slides"), all(here("/v1/analyses?limit=200"), "analyses")]);
    const bySlide = Map.groupBy ? Map.groupBy(analyses, (a) => a.slide) : grouped(analyses);
    element("slides").replaceChildren(...slides.toReversed().map((slide) => slideItem(slide, bySlide.get(slide.id) ?? [])));
    element("no-slides").hidden = slides.length > 0;
    markCurrent({ id: current.slide }, { id: current.analysis });
    analyses.filter((a) => a.state === "queued" || a.state === "running").slice(0, STREAMS).forEach(watch);
  } catch (error) {
    toast(error.message);
  }
}

/** Upload a file, going on where an earlier try stopped, then score it. */
export function upload(file) {
  const item = document.createElement("li");
  const bar = Object.assign(document.createElement("progress"), { max: 1, value: 0 });
  const text = Object.assign(document.createElement("span"), { textContent: `${file.name}: starting` });
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  item.append(text, bar);
  element("uploads").append(item);
  let slide = null;
  const fail = (message) => {
    text.textContent = `${file.name}: ${message} `;
    text.className = "problem";
    bar.remove();
    const again = Object.assign(document.createElement("button"), { textContent: "Try again", className: "link" });
    again.addEventListener("click", () => {
      item.remove();
      upload(file);
    });
    item.append(again);
  };
  const sending = new window.tus.Upload(file, {
    endpoint: here("/v1/uploads"),
    chunkSize: PIECE,
    retryDelays: RETRIES_MS,
    removeFingerprintOnSuccess: true,
    metadata: { filename: file.name },
    headers: authorization(),
    onProgress: (sent, size) => {
      bar.value = size ? sent / size : 0;
      text.textContent = `${file.name}: ${sent < size ? `${Math.floor((100 * sent) / size)} % of ${bytes(size)}` : "being opened"}`;
    },
    onAfterResponse: (_, response) => {
      slide = response.getHeader("Mitoserve-Slide") ?? slide;
    },
    onError: (error) => fail(detailOf(error)),
    onSuccess: async () => {
      try {
        const stored = await json(slide ?? sending.url);
        item.remove();
        await score(stored);
      } catch (error) {
        fail(error.message);
      }
    },
  });
  sending.findPreviousUploads().then((earlier) => {
    if (earlier.length) sending.resumeFromPreviousUpload(earlier[0]);
    sending.start();
  });
}

/** Submit an analysis of a slide and open it. */
export async function score(slide) {
  const stated = element("mpp").value;
  const analysis = await post(here("/v1/analyses"), { slide: slide.id, options: slide.mpp === null && stated ? { mpp: Number(stated) } : {} });
  await refresh();
  open(slide, analysis);
}

function detailOf(error) {
  try {
    return JSON.parse(error.originalResponse.getBody()).detail;
  } catch {
    return "the connection broke off.";
  }
}

function grouped(analyses) {
  const found = new Map();
  for (const analysis of analyses) found.set(analysis.slide, [...(found.get(analysis.slide) ?? []), analysis]);
  return found;
}

function slideItem(slide, analyses) {
  const item = document.createElement("li");
  const head = Object.assign(document.createElement("button"), { className: "head" });
  const picture = Object.assign(document.createElement("img"), { alt: "", width: 52, height: 52 });
  thumbnail(slide, picture);
  const words = document.createElement("span");
  const name = Object.assign(document.createElement("span"), { className: "name", textContent: slide.name });
  const facts = Object.assign(document.createElement("small"), {
    textContent: `${slide.width.toLocaleString("en")} × ${slide.height.toLocaleString("en")} px${slide.mpp ? ` · ${slide.mpp.toPrecision(3)} µm/px` : ""}`,
  });
  words.append(name, facts);
  head.append(picture, words);
  head.addEventListener("click", () => open(slide, analyses[0] ?? null));
  item.append(head, ...analyses.map((analysis) => analysisButton(slide, analysis)));
  if (!analyses.some((a) => a.state === "queued" || a.state === "running" || a.state === "succeeded")) {
    const start = Object.assign(document.createElement("button"), { className: "new", textContent: "Score this slide" });
    start.addEventListener("click", () => score(slide).catch((error) => toast(error.message)));
    item.append(start);
  }
  return item;
}

function analysisButton(slide, analysis) {
  const button = Object.assign(document.createElement("button"), { className: "analysis" });
  button.dataset.id = analysis.id;
  button.append(document.createElement("span"), Object.assign(document.createElement("time"), { textContent: analysis.created_at.slice(0, 16).replace("T", " "), dateTime: analysis.created_at }));
  describe(button, analysis);
  button.addEventListener("click", () => open(slide, analysis));
  return button;
}

/** The state of an analysis in words. */
export function stateText({ state, progress, tiles_done, tiles_total }) {
  const [done, total] = [progress?.tiles_done ?? tiles_done, progress?.tiles_total ?? tiles_total];
  if (state === "running") return total ? `running, ${Math.floor((100 * done) / total)} %` : "running";
  return { queued: "waiting", succeeded: "scored", failed: "failed", cancelled: "cancelled" }[state];
}

function describe(button, analysis) {
  const place = button.firstChild;
  place.textContent = stateText(analysis);
  place.className = `state-${analysis.state}`;
}

/** Follow an analysis until it has ended, showing how it stands. */
function watch(analysis) {
  if (followed.has(analysis.id)) return;
  followed.set(analysis.id, true);
  follow(here(`/v1/analyses/${analysis.id}/events`), (_, now) => {
    const button = document.querySelector(`#slides .analysis[data-id="${analysis.id}"]`);
    if (button) describe(button, now);
  })
    .catch(() => {})
    .finally(() => {
      followed.delete(analysis.id);
      refresh();
    });
}

async function thumbnail(slide, picture) {
  if (!pictures.has(slide.id)) {
    pictures.set(slide.id, ask(here(`/v1/slides/${slide.id}/thumbnail?max_side=104`)).then(async (r) => URL.createObjectURL(await r.blob())));
  }
  picture.src = await pictures.get(slide.id).catch(() => {
    pictures.delete(slide.id);
    return "data:,";
  });
}

function bytes(size) {
  return size < 2 ** 20 ? `${Math.ceil(size / 1024)} KiB` : size < 2 ** 30 ? `${(size / 2 ** 20).toFixed(1)} MiB` : `${(size / 2 ** 30).toFixed(2)} GiB`;
}

// Dropped anywhere on the page.
let within = 0;
addEventListener("dragenter", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  within += 1;
  element("dropping").hidden = false;
});
addEventListener("dragleave", () => {
  within = Math.max(within - 1, 0);
  element("dropping").hidden = within === 0;
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  within = 0;
  element("dropping").hidden = true;
  for (const file of event.dataTransfer?.files ?? []) upload(file);
});
element("file").addEventListener("change", (event) => {
  for (const file of event.target.files) upload(file);
  event.target.value = "";
});
element("drop").addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    element("file").click();
  }
});
