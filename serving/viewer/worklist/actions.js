// What is done with several slides at once: assigned, cancelled, deleted.

import { all, change, here } from "../lib/api.js";
import { element } from "../lib/dom.js";
import { tellTabs } from "../lib/tabs.js";
import { toast } from "../lib/toast.js";
import { choose, chosenRows } from "./chosen.js";
import { countText, isUnderWay } from "./words.js";

const AT_ONCE = 4;
const CANCELLED = 200; // the answer where an analysis had not ended: it is cancelled, and is there still
/** @type {string | null} The case that was stated while the server was out of reach. */
let stated = null;

/** Wire the buttons; `then` is called once something has changed. */
export function startActions(then) {
  element("assign").addEventListener("click", () => askAndAssign(then));
  element("cancel").addEventListener("click", () => cancelChosen(then));
  element("delete").addEventListener("click", () => askAndDelete(then));
}

/**
 * Do something with each of several rows, some at a time; say what became of them.
 *
 * Once the server is out of reach nothing more is sent: what was, may have arrived or not, so doing it again must do no harm.
 *
 * @param {any[]} rows
 * @param {(row: any) => Promise<any>} act
 * @param {string} done What was done, in words.
 * @returns {Promise<{ well: any[], missed: any[] }>} With whom it is done, and who was not reached.
 */
export async function actOnEach(rows, act, done) {
  const waiting = [...rows];
  const [well, missed] = [[], []];
  /** @type {[any, string][]} */
  const refused = [];
  const work = async () => {
    for (let row = waiting.shift(); row; row = waiting.shift()) {
      try {
        await act(row);
        well.push(row);
      } catch (error) {
        if (error.unreachable) missed.push(row, ...waiting.splice(0));
        else refused.push([row, error.message]);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const said = well.length || (!refused.length && !missed.length) ? [`${countText(well.length, "slide", "slides")} ${done}.`] : [];
  if (refused.length) said.push(`${countText(refused.length, "slide was", "slides were")} refused. ${refused[0][0].name}: ${refused[0][1]}`);
  if (missed.length) said.push(`The server cannot be reached: ${countText(missed.length, "slide was", "slides were")} not ${done}. Nothing is lost: try again once it is back.`);
  toast(said.join(" "));
  tellTabs("slides");
  return { well, missed };
}

/**
 * What a dialog was closed with; empty where nothing is to be done.
 *
 * @param {HTMLDialogElement} dialog
 * @returns {Promise<string>}
 */
export function askBy(dialog) {
  dialog.returnValue = "";
  const gone = new AbortController();
  dialog.querySelector(".close").addEventListener("click", () => dialog.close(""), { signal: gone.signal });
  dialog.showModal();
  return new Promise((resolve) => {
    const end = () => {
      gone.abort();
      resolve(dialog.returnValue);
    };
    dialog.addEventListener("close", end, { once: true });
  });
}

/** The part of an address that says whose slide is meant, where several may have it. */
const ofOwner = (row) => `owner=${encodeURIComponent(row.owner)}`;

async function askAndAssign(then) {
  const rows = chosenRows().filter((row) => !row.deleted);
  element("assign-said").textContent = `${countText(rows.length, "slide belongs", "slides belong")} to the case from now on.`;
  const cases = new Set(rows.map((row) => row.case ?? ""));
  element("assign-case").value = stated ?? (cases.size === 1 ? [...cases][0] : "");
  const answer = await askBy(element("assign-dialog"));
  if (!answer) return;
  const name = answer === "name" ? null : element("assign-case").value.trim();
  const { missed } = await actOnEach(rows, (row) => change("PATCH", here(`/v1/slides/${row.slide}?${ofOwner(row)}`), { case: name }), "assigned");
  stated = missed.length ? name : null;
  then();
}

async function cancelChosen(then) {
  const rows = chosenRows().filter((row) => isUnderWay(row.latest));
  await actOnEach(rows, cancelOne, "cancelled");
  then();
}

/** Cancel what runs; one that has ended since the list was read keeps its result. */
async function cancelOne(row) {
  const { state } = await (await change("DELETE", here(`/v1/analyses/${row.latest.id}?keep_ended=true`))).json();
  if (state !== "cancelled") throw new Error("it had ended before.");
}

async function askAndDelete(then) {
  const rows = chosenRows();
  element("delete-said").textContent = rows.length === 1 ? `${rows[0].name} is deleted.` : `${countText(rows.length, "slide is", "slides are")} deleted.`;
  const gone = rows.every((row) => row.deleted);
  Object.assign(element("delete-results"), { checked: gone, disabled: gone });
  if (!(await askBy(element("delete-dialog")))) return;
  const results = element("delete-results").checked;
  const { well } = await actOnEach(rows, (row) => remove(row, results), "deleted");
  choose(well, false);
  then();
}

async function remove(row, results) {
  if (isUnderWay(row.latest)) await removeOnce(here(`/v1/analyses/${row.latest.id}?keep_ended=true`));
  if (results) await removeResults(row);
  if (!row.deleted) await removeOnce(here(`/v1/slides/${row.slide}?${ofOwner(row)}`));
}

/** Delete what is at an address; it may be gone since a deletion whose answer was lost. Gives the status of the answer. */
async function removeOnce(address) {
  try {
    return (await change("DELETE", address)).status;
  } catch (error) {
    if (error.status !== 404) throw error;
    return error.status;
  }
}

async function removeResults(row) {
  for (const { id } of await all(here(`/v1/analyses?slide=${row.slide}&limit=200&${ofOwner(row)}`), "analyses")) {
    const status = await removeOnce(here(`/v1/analyses/${id}`));
    if (status === CANCELLED) await removeOnce(here(`/v1/analyses/${id}`));
  }
}
