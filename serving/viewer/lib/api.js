// Requests to the server: with the key, if one is needed, and with errors in the server's own words.

import { isGateway, reach } from "./connection.js";
import { element } from "./dom.js";

const KEY = "mitoserve-key";
const MOST_FAILED = 5;
const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
let asking = null;

/** The address of a path of the server's own, below the prefix that a proxy may offer it under. */
export const here = (path) => ROOT + path;

/**
 * Take over the key of the machine that serves from the address that `mitoserve serve` prints (#key=…), and hide it.
 *
 * Keys of other kinds are not taken from an address: whoever makes one up could have slides brought with a key of theirs.
 */
function takeLocalKey() {
  const stated = new URLSearchParams(location.hash.slice(1));
  const key = stated.get("key");
  if (key === null) return;
  if (/^mito_local_[A-Za-z0-9_-]+$/.test(key)) setKey(key);
  stated.delete("key");
  const rest = stated.toString();
  history.replaceState(null, "", location.pathname + location.search + (rest ? `#${rest}` : ""));
}
takeLocalKey();
addEventListener("hashchange", takeLocalKey);

/** The header that shows the key; none where no key was given. */
export function authorization() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Keep a key until the tab is closed. */
export function setKey(key) {
  sessionStorage.setItem(KEY, key);
}

/**
 * The response to a request; asks for a key where the server wants one, and throws an Error with the server's words.
 *
 * What only reads waits while the server is out of reach. What changes something fails: nobody knows whether it arrived.
 *
 * @param {string} address
 * @param {any} [options]
 */
export async function ask(address, options = {}) {
  const reads = !options.method || options.method === "GET";
  let failed = 0;
  for (;;) {
    const response = await fetch(address, { ...options, headers: { ...options.headers, ...authorization() } }).catch((error) => {
      if (error.name === "AbortError") throw error;
      return null;
    });
    if (response === null || (reads && isGateway(response.status))) {
      const back = reach();
      if (!reads) throw Object.assign(new Error("The server cannot be reached; nothing was recorded. Try again."), { unreachable: true });
      await back;
      failed += 1;
      if (failed > MOST_FAILED) throw new Error("The server is in reach and does not answer this request.");
      continue;
    }
    if (response.status === 401) {
      await askForKey();
      continue;
    }
    if (response.ok || response.status === 304) return response;
    const problem = await response.json().catch(() => ({}));
    throw Object.assign(new Error(problem.detail || `The server answered ${response.status}.`), { status: response.status });
  }
}

/** The JSON that an address gives. */
export async function json(address, options) {
  return (await ask(address, options)).json();
}

/** The answer to a JSON body that is sent to an address. */
export function post(address, body) {
  return json(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

/** Every entry of a list that comes in pages. */
export async function all(address, name) {
  const found = [];
  for (let next = address; next; ) {
    const page = await json(next);
    found.push(...page[name]);
    next = page.next;
  }
  return found;
}

/** Calls `onEvent(name, data)` for each Server-Sent Event of an address until it ends; an EventSource can show no key. */
export async function follow(address, onEvent, signal) {
  const response = await ask(address, { headers: { Accept: "text/event-stream" }, signal });
  if (response.status === 204) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
      if (fields.event) onEvent(fields.event, JSON.parse(fields.data));
    }
  }
}

/** Resolves once somebody has typed a key; several requests that need one share the question. */
function askForKey() {
  asking ??= new Promise((resolve) => {
    const dialog = element("key-dialog");
    const field = element("key");
    field.value = "";
    dialog.addEventListener("close", () => {
      if (field.value.trim()) setKey(field.value.trim());
      field.value = "";
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}
