// Names of the field for what the server calls by a word of its own.

/** @type {Record<string, string>} Published cut-offs, by the server's name of them. */
export const PROFILES = {
  "breast-nottingham": "Breast, Nottingham",
  "gep-net": "NET of gut and pancreas",
  gist: "GIST",
  "canine-mast-cell": "Canine mast cell tumour",
  none: "no cut-offs",
};

/**
 * Whose regions bound a count; empty where none do.
 *
 * @param {string[]} bounds `bounded_by` of counts.
 */
export function regionsText(bounds) {
  if (bounds.includes("regions model")) return "the model's regions";
  return bounds.includes("within") || bounds.includes("exclude") ? "your regions" : "";
}
