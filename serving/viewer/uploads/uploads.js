// Slides on their way to the server, some at a time: chosen, or dropped anywhere on the page. They are scored when they are there.

import { element, make } from "../lib/dom.js";
import { authorization, here, json } from "../lib/api.js";
import { isGateway, reach } from "../lib/connection.js";
import { tellTabs } from "../lib/tabs.js";
import { scoreNew } from "../worklist/rescoring.js";
import { countText } from "../worklist/words.js";
import { refresh } from "../worklist/worklist.js";

const PIECE = 8 * 2 ** 20;
const RETRIES_MS = [0, 1000, 3000];
const MOST_BROKEN = 20;
const AT_ONCE = 2;

/**
 * @typedef {{ file: File, item: HTMLElement, text: HTMLElement, bar: HTMLProgressElement, state: "waiting" | "sending" | "done" | "failed" }} Arrival
 * A file and its line on the page.
 */

/** @type {Arrival[]} */
let arrivals = [];

/** Upload files, two at a time, going on where earlier tries stopped, and score them. */
function upload(files) {
  for (const file of files) {
    const bar = make("progress", { max: 1, value: 0, "aria-label": `Upload of ${file.name}` });
    const text = make("span", { textContent: `${file.name}: waits for its turn` });
    const item = make("li", {}, text, bar);
    element("uploads").append(item);
    arrivals.push({ file, item, text, bar, state: "waiting" });
  }
  goOn();
}

/** Begin with as many of those that wait as there is room for; say how far all are. */
function goOn() {
  const number = (state) => arrivals.filter((arrival) => arrival.state === state).length;
  while (number("sending") < AT_ONCE && number("waiting")) {
    const next = arrivals.find((arrival) => arrival.state === "waiting");
    next.state = "sending";
    send(next);
  }
  const failed = number("failed") ? `, ${number("failed")} failed` : "";
  element("uploads-said").textContent = `${number("done")} of ${countText(arrivals.length, "file", "files")} uploaded${failed}`;
  element("upload-box").hidden = arrivals.length === 0;
  element("uploads-clear").hidden = !number("done");
}

function end(arrival, state) {
  arrival.state = state;
  arrival.bar.remove();
  goOn();
}

function send(arrival) {
  const { file, text, bar } = arrival;
  let slide = null;
  let broken = 0; // times that the line broke since a piece arrived
  text.textContent = `${file.name}: starting`;
  const fail = (message) => {
    text.textContent = `${file.name}: ${message} `;
    text.className = "problem";
    const again = make("button", { textContent: "Try again", className: "link" });
    again.addEventListener("click", () => {
      forget([arrival]);
      upload([file]);
    });
    arrival.item.append(again);
    end(arrival, "failed");
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
        await scoreNew(await json(slide ?? sending.url), element("mpp").value);
        text.textContent = `${file.name}: in the worklist`;
        end(arrival, "done");
        tellTabs("slides");
        refresh();
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

/** Take lines off the page. */
function forget(gone) {
  for (const { item } of gone) item.remove();
  arrivals = arrivals.filter((arrival) => !gone.includes(arrival));
  goOn();
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
  upload(event.dataTransfer?.files ?? []);
});
element("file").addEventListener("change", (event) => {
  upload([...event.target.files]);
  event.target.value = "";
});
element("drop").addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    element("file").click();
  }
});
element("uploads-clear").addEventListener("click", () => forget(arrivals.filter((arrival) => arrival.state === "done")));
// A page that is left loses what it was sending; the server keeps what has arrived.
addEventListener("beforeunload", (event) => {
  if (arrivals.some((arrival) => arrival.state === "sending" || arrival.state === "waiting")) event.preventDefault();
});
