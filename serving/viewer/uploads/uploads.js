// Slides on their way to the server: chosen, or dropped anywhere on the page.

import { element } from "../lib/dom.js";
import { authorization, here, json } from "../lib/api.js";
import { isGateway, reach } from "../lib/connection.js";
import { score } from "../worklist/slides.js";

const PIECE = 8 * 2 ** 20;
const RETRIES_MS = [0, 1000, 3000];
const MOST_BROKEN = 20;

/** Upload a file, going on where an earlier try stopped, then score it. */
export function upload(file) {
  const item = document.createElement("li");
  const bar = Object.assign(document.createElement("progress"), { max: 1, value: 0 });
  const text = Object.assign(document.createElement("span"), { textContent: `${file.name}: starting` });
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  item.append(text, bar);
  element("uploads").append(item);
  let slide = null;
  let broken = 0; // times that the line broke since a piece arrived
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
      broken = 0;
      bar.value = size ? sent / size : 0;
      text.textContent = `${file.name}: ${sent < size ? `${Math.floor((100 * sent) / size)} % of ${bytes(size)}` : "being opened"}`;
    },
    onAfterResponse: (_, response) => {
      slide = response.getHeader("Mitoserve-Slide") ?? slide;
    },
    onError: async (/** @type {any} */ error) => {
      const status = error.originalResponse?.getStatus() ?? 0;
      if (status !== 0 && !isGateway(status)) return fail(detailOf(error));
      text.textContent = `${file.name}: waits for the server`;
      await reach();
      if (++broken > MOST_BROKEN) return fail("the connection broke off.");
      sending.start(); // goes on behind what the server has
    },
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

function detailOf(error) {
  try {
    return JSON.parse(error.originalResponse.getBody()).detail;
  } catch {
    return "the connection broke off.";
  }
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
