// Requests to the server: with the key, if one is needed, and with errors in the server's own words.

import { isGateway, reach, UNREACHABLE } from "./connection.js";
import { element } from "./dom.js";
import { forgetRenewal, renewToken } from "./login.js";

const KEY = "mitoserve-key";
const PROJECT = "mitoserve-project";
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

/** The headers that show the key, and the project that somebody works as; none where there is none. */
export function authorization() {
  const key = sessionStorage.getItem(KEY);
  const project = actingProject();
  return { ...(key ? { Authorization: `Bearer ${key}` } : {}), ...(project ? { "Mitoserve-Project": project } : {}) };
}

/** Id of the project that somebody works as in this tab; empty for none. */
export const actingProject = () => sessionStorage.getItem(PROJECT) ?? "";

/** Work as a project from the next request on. */
export function setProject(project) {
  sessionStorage.setItem(PROJECT, project);
}

/** Forget who somebody is. */
export function leave() {
  for (const name of [KEY, PROJECT]) sessionStorage.removeItem(name);
  forgetRenewal();
}

// A link from a colleague says in which project the analysis is.
const linked = new URLSearchParams(location.hash.slice(1)).get("project");
if (linked !== null && /^[0-9a-f]{1,40}$/.test(linked)) setProject(linked);

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
    if (response === null || isGateway(response.status)) {
      const back = reach();
      if (!reads) throw Object.assign(new Error(UNREACHABLE), { unreachable: true });
      await back;
      failed += 1;
      if (failed > MOST_FAILED) throw new Error("The server is in reach and does not answer this request.");
      continue;
    }
    if (response.status === 401) {
      const shown = sessionStorage.getItem(KEY);
      await askForKey(shown ? ((await response.json().catch(() => ({}))).detail ?? "") : "");
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

/**
 * The response to a request that changes something.
 *
 * @param {"PATCH" | "DELETE" | "PUT"} method
 * @param {string} address
 * @param {any} [body] Sent as JSON.
 */
export function change(method, address, body) {
  const sent = body === undefined ? {} : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  return ask(address, { method, ...sent });
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

/**
 * Resolves once there is another token, or somebody has typed a key; several requests that need one share the question.
 *
 * @param {string} problem Why what was shown does not open, in the server's words; empty where nothing was shown.
 */
function askForKey(problem) {
  asking ??= renewToken().then(async (token) => {
    if (token) setKey(token);
    else await openKeyDialog(problem);
    asking = null;
  });
  return asking;
}

function openKeyDialog(problem) {
  return new Promise((resolve) => {
    const dialog = element("key-dialog");
    const field = element("key");
    field.value = "";
    element("key-problem").textContent = problem && `This key does not open: ${problem.split(": send")[0]}. Ask whoever runs the server.`;
    element("key-problem").hidden = !problem;
    dialog.addEventListener("close", () => {
      if (field.value.trim()) setKey(field.value.trim());
      field.value = "";
      resolve();
    }, { once: true });
    dialog.showModal();
  });
}
