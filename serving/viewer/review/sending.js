// Verdicts on their way to the server: sent one after the other in their order, behind an outage too, and each once.

import { here, json, post } from "../lib/api.js";
import { reach } from "../lib/connection.js";
import { element } from "../lib/dom.js";
import { emit, state } from "../lib/state.js";

const AGAIN_MS = 1000;
const SAME_PX = 0.01;

/**
 * @typedef {{ action: string, target?: string, label?: string, consensus?: boolean, box?: import("../lib/state.js").Box, reason: string }} Change As the server is told it.
 * @typedef {{ analysis: string, study: string | null, reviewer: string }} Reading Whose word of what.
 * @typedef {Reading & { change: Change, id: string | null, after: number, tried: boolean }} Sending
 *   id : what an added figure is called until the server names it; after : the last entry of the record when it was said
 */

/** @type {Sending[]} */
const queue = [];
/** @type {Map<string, string>} What added figures are called, by what they were called before. */
const named = new Map();
let added = 0;
/** @type {Promise<void> | null} */
let running = null;
/** @type {{ onRecorded: (sent: Sending, entry: any) => void, onRefused: (sent: Sending, error: Error) => void, onEnd: () => Promise<void> }} */
let tell;

/** Say who is told of what became of changes. */
export function startSending(told) {
  tell = told;
}

/** Whether something was said that the server has not recorded yet. */
export const isUnsaved = () => queue.length > 0;

/** Whether what the page shows of the record is not read from the server yet. */
export const isSending = () => running !== null;

/** Resolves once the server has everything that was said. */
export const whenSent = () => running ?? Promise.resolve();

/** What is on its way of what is open, said by who is reviewing. */
export const unsaved = () => queue.filter(isOpen);

const isOpen = ({ analysis, study, reviewer }) => analysis === state.analysis?.id && study === state.study && reviewer === state.reviewer;

/**
 * The address of what reviewers have said; in a study, of what this reader has said in it.
 *
 * @param {Reading} reading
 */
export function reviewsOf({ analysis, study, reviewer }) {
  const address = here(`/v1/analyses/${analysis}/reviews`);
  return study ? `${address}?${new URLSearchParams({ study, reviewer })}` : address;
}

/** What a figure is called now that was added on this page. */
export const nameOf = (id) => named.get(id) ?? id;

/**
 * Have a change recorded as soon as the server can.
 *
 * @param {Change} change
 * @returns {string | null} What an added figure is called until then.
 */
export function send(change) {
  const id = change.action === "add" ? `added-new-${++added}` : null;
  const after = Math.max(0, ...(state.review?.entries.slice(-1) ?? []).map((entry) => entry.number));
  queue.push({ analysis: state.analysis.id, study: state.study, reviewer: state.reviewer, change, id, after, tried: false });
  say();
  running ??= sendAll().finally(() => {
    running = null;
    emit("counting");
  });
  return id;
}

/** Drop the last change that nobody has sent yet; null where there is none. The first is being sent. */
export function dropUnsent() {
  const last = queue.at(-1);
  if (queue.length < 2 || last.tried || !isOpen(last)) return null;
  queue.pop();
  say();
  return last.change;
}

async function sendAll() {
  while (queue.length) {
    await sendFirst();
    say();
    if (!queue.length) await tell.onEnd(); // meanwhile somebody may say more
  }
}

async function sendFirst() {
  const first = queue[0];
  try {
    const entry = await deliver(first);
    queue.shift();
    if (first.id) named.set(first.id, `added-${entry.number}`);
    tell.onRecorded(first, entry);
  } catch (error) {
    if (error.unreachable) return reach();
    if (error.status === 503) return new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    queue.shift();
    tell.onRefused(first, error);
  }
}

/** The entry of a change. Where the line broke before the answer came, it may be on record already. */
async function deliver(sent) {
  const review = sent.tried || sent.change.action === "undo" ? await json(reviewsOf(sent)) : null;
  const isMine = (entry) => entry.author === review.you && entry.reviewer === sent.reviewer && entry.consensus === Boolean(sent.change.consensus);
  const own = review?.entries.filter(isMine) ?? [];
  const change = { ...sent.change };
  if (change.target) change.target = nameOf(change.target);
  if (change.action === "undo" && !change.target) change.target = lastStanding(own);
  const known = sent.tried && own.find((entry) => entry.number > sent.after && isSame(entry, change));
  if (known) return known;
  sent.tried = true;
  sent.change = change;
  const { analysis, study, reviewer } = sent;
  return post(here(`/v1/analyses/${analysis}/reviews`), { ...change, reviewer, ...(study ? { study } : {}) });
}

function isSame(entry, { action, target = "", label = null, box = null }) {
  if (entry.action !== action || entry.label !== label || (action !== "add" && entry.target !== target)) return false;
  return !box || (Math.abs(entry.box.x - box.x) < SAME_PX && Math.abs(entry.box.y - box.y) < SAME_PX);
}

/** Number of the last entry that was not taken back. */
function lastStanding(own) {
  const undone = new Set(own.filter((entry) => entry.action === "undo").map((entry) => entry.target));
  const entry = own.findLast((one) => one.action !== "undo" && !undone.has(String(one.number)));
  if (!entry) throw new Error("There is nothing to take back.");
  return String(entry.number);
}

function say() {
  const number = queue.length;
  element("unsaved").textContent = number ? `${number === 1 ? "1 verdict is" : `${number} verdicts are`} kept on this page and recorded once it is back.` : "";
  emit("counting");
}

// A page that is left loses what the server does not have.
addEventListener("beforeunload", (event) => isUnsaved() && event.preventDefault());
