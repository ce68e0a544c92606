/** Elements, made and updated in place, so that focus and selection stay while figures change. */

const SVG = "http://www.w3.org/2000/svg";

/** Find an element of the page by its id. */
export const byId = (id) => document.getElementById(id);

/** Make an HTML element with attributes and children; a child is a node or a text. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** Make an SVG element likewise. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Set a text, unless it is the same. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Show as many children as there are items, each kept by its item's key. */
export function keyed(parent, items, keyOf, make, fill) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    const key = String(keyOf(item));
    const child = known.get(key) ?? make(item);
    child.dataset.key = key;
    known.delete(key);
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
    fill(child, item);
  });
  for (const child of known.values()) child.remove();
}

/**
 * A table whose rows are updated in place.
 *
 * A column has a `title`, `text(row)` or `fill(cell, row)`, and may be a `number`. The first one names the row.
 */
export class Table {
  constructor(container, { label, columns, key, empty }) {
    this.columns = columns;
    this.key = key;
    const heads = columns.map(({ title, number }) =>
      element("th", { scope: "col", class: number ? "number" : undefined }, title));
    this.body = element("tbody");
    // The region scrolls sideways on a narrow screen, also by the keyboard.
    this.region = element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": label },
      element("table", {}, element("thead", {}, element("tr", {}, ...heads)), this.body));
    this.empty = element("p", { class: "empty" }, empty);
    container.replaceChildren(this.region, this.empty);
  }

  show(rows) {
    this.region.hidden = !rows.length;
    this.empty.hidden = rows.length > 0;
    keyed(this.body, rows, this.key, () => this.#row(), (row, item) => this.#fill(row, item));
  }

  #row() {
    const cells = this.columns.map(({ number }, index) => index
      ? element("td", { class: number ? "number" : undefined })
      : element("th", { scope: "row" }));
    return element("tr", {}, ...cells);
  }

  #fill(row, item) {
    this.columns.forEach(({ text, fill }, index) => {
      if (fill) fill(row.children[index], item);
      else setText(row.children[index], text(item));
    });
  }
}
