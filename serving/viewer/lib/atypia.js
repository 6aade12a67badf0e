// Which figures the atypia model calls atypical.

import { emit, objectOf, state } from "./state.js";

/** The model, with its threshold; null where the analysis had none. */
export const atypiaModel = () => state.report?.atypia ?? null;

/** Whether the model calls an object atypical; false of what no model saw. */
export function isAtypical(object) {
  const model = atypiaModel();
  return Boolean(model) && (object?.atypical_probability ?? -1) >= model.thresholds.atypical;
}

/** The same of an object by its id. */
export const isAtypicalId = (id) => isAtypical(objectOf(id));

/**
 * How many figures are atypical, of how many the model saw.
 *
 * @param {{ figures: number, of: number, share: number | null } | null | undefined} count As reports state it.
 */
export function atypicalText(count) {
  if (!count) return "";
  return `${count.figures} of ${count.of}${count.share === null ? "" : ` (${Math.round(100 * count.share)} %)`}`;
}

/** What the mark means, in plain words. */
export function atypiaNote() {
  const model = atypiaModel();
  if (!model) return "";
  return (
    `Atypical: ${model.name} ${model.version} gives a probability of ${model.thresholds.atypical} or more that the figure is atypical. ` +
    "It learned from figures alone: of what is no figure it says nothing. Added figures are not seen by it."
  );
}

/** Show only atypical figures, in strip and list, or all again. */
export function showAtypicalOnly(only) {
  state.atypicalOnly = only && Boolean(atypiaModel());
  emit("atypical");
}
