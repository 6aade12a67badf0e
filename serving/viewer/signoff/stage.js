// Where an analysis is between readers: read freely, given to readers who see themselves alone, or decided by both.

import { objectOf, state } from "../lib/state.js";

const LABELS = { accept: "Mitosis", reject: "Not mitosis" };

/** Whether both readings are finished, and what is said is the consensus. */
export const isConsensus = () => state.review?.stage === "consensus";

/** What is asked for as review: one's own, or the consensus. */
export const reviewKind = () => (isConsensus() ? "consensus" : "own");

/** How verdicts are said now, beside what they say. */
export const saidAs = () => (isConsensus() ? { consensus: true } : {});

/** The reading that this key has to finish, as /reviews gives it; undefined for none. */
export const openReading = (review = state.review) => review?.readings.find((reading) => reading.yours && !reading.finished_at);

/** Whether an entry is part of what this person says now. */
export function isOwn(entry, review = state.review) {
  if (entry.author !== review.you) return false;
  return review.stage === "consensus" ? entry.consensus : entry.reviewer === state.reviewer && !entry.consensus;
}

/** Read as the reader that the analysis was given to: the server hears no other name. */
export function takeReader(review) {
  const reading = openReading(review);
  if (reading) state.reviewer = reading.reviewer;
}

/**
 * The labels that hold for this person: their own or, once both readings are finished, what both agree on and decided.
 *
 * @param {any} review As /reviews gives it.
 * @param {any[]} standing Entries that were not taken back.
 * @returns {Map<string, string>}
 */
export function labelsOf(review, standing) {
  const found = new Map();
  if (review.comparison) {
    for (const { target, first, second, consensus, agreed } of review.comparison.objects) {
      const label = consensus ?? (agreed ? (first ?? second) : null);
      if (label) found.set(target, label);
    }
    return found;
  }
  for (const entry of standing.filter((e) => isOwn(e, review))) {
    const target = entry.action === "add" ? `added-${entry.number}` : entry.target;
    if (target.startsWith("added-") && !review.added.has(target)) continue;
    found.set(target, LABELS[entry.action] ?? entry.label ?? "Mitosis");
  }
  return found;
}

/** Ids of the objects on which both readers differ, of the whole slide. */
export const disagreements = () => (state.review?.comparison?.objects ?? []).filter((one) => !one.agreed && objectOf(one.target)).map((one) => one.target);

/** What both readers said of an object; null where they are not compared, or nobody said anything. */
export const compared = (id) => state.review?.comparison?.objects.find((one) => one.target === id) ?? null;

/** What the two readers are called. */
export const readerNames = () => (state.review?.readings ?? []).map((reading) => reading.reviewer || reading.reader);
