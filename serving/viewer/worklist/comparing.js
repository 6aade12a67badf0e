// Two of the slides that are chosen, or two analyses of one, next to each other on a page of their own.

import { here } from "../lib/api.js";
import { element } from "../lib/dom.js";
import { canCompare, chosenRows } from "./chosen.js";

element("compare").addEventListener("click", () => {
  const rows = chosenRows();
  if (!canCompare(rows)) return;
  const stated = new URLSearchParams();
  for (const [i, side] of ["left", "right"].entries()) {
    const row = rows[i];
    if (row?.scored) stated.set(side, row.scored.id);
    else if (row) stated.set(`${side}-slide`, row.slide);
  }
  location.assign(`${here("/viewer/compare.html")}#${stated}`);
});
