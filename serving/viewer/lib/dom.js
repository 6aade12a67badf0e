// Elements of the page: found by their ids, and made.

/**
 * The element of an id, of whatever kind the page has it.
 *
 * @param {string} id
 * @returns {any} The page is fixed: tests in a browser find an id that is none.
 */
export const element = (id) => document.getElementById(id);

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
