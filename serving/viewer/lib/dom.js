// Elements of the page: found by their ids, and made.

/**
 * The element of an id, of whatever kind the page has it.
 *
 * @param {string} id
 * @returns {any} The page is fixed: tests in a browser find an id that is none.
 */
export const element = (id) => document.getElementById(id);

/**
 * The elements below one that a selector finds.
 *
 * @param {string} selector
 * @param {ParentNode} [below]
 * @returns {any[]} Of whatever kind the page has them.
 */
export const findAll = (selector, below = document) => [...below.querySelectorAll(selector)];

/**
 * A new element with properties, children and attributes.
 *
 * @param {string} tag
 * @param {Record<string, any>} [properties] `dataset` and names with a hyphen, such as aria-label, are attributes
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "dataset") Object.assign(made.dataset, value);
    else if (name.includes("-") || name === "role") made.setAttribute(name, String(value));
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/**
 * Fill a list anew, and leave the focus on what had it: the entry of the same `data-key`, or the nearest one that is left.
 *
 * @param {HTMLElement} list
 * @param {HTMLElement[]} entries
 */
export function refill(list, entries) {
  const focused = /** @type {HTMLElement} */ (document.activeElement);
  const inside = focused !== list && list.contains(focused);
  const key = inside ? focused.dataset.key : null;
  const place = inside ? keyed(list).indexOf(focused) : -1;
  list.replaceChildren(...entries);
  if (!inside) return;
  const now = keyed(list);
  const again = now.find((entry) => entry.dataset.key === key) ?? now[Math.min(place, now.length - 1)];
  again?.focus({ preventScroll: true });
}

/**
 * @param {HTMLElement} list
 * @returns {HTMLElement[]}
 */
function keyed(list) {
  return /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[data-key]")]);
}

/** Fields that hold what somebody typed and has not ended yet. */
const typed = new WeakSet();
addEventListener("input", ({ target }) => typed.add(target), true);
for (const ending of ["change", "focusout"]) addEventListener(ending, ({ target }) => typed.delete(target), true);

/**
 * Show a value in a field, unless somebody types in it: an answer of the server takes nothing away that is half typed.
 * A field that is disabled shows the value always.
 *
 * @param {HTMLInputElement} field
 * @param {string} value
 */
export function showValue(field, value) {
  if (field.disabled) typed.delete(field);
  if (!typed.has(field)) field.value = value;
}

/** Whether somebody asked for less movement. */
export const movesLess = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
