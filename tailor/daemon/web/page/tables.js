/** Tables that keep their rows while they change, and the way from one page of them to the next. */

import { make, setChildren, setText } from "./element.js";

/** A table: `columns` are [head, class]; `show(rows)` takes `{key, cells}`, where a cell is text or a node. */
export class Table {
  #body = make("tbody");
  #kept = new Map();
  #none = make("p", { class: "none" });

  constructor(caption, columns, none = "None.") {
    this.columns = columns;
    this.caption = make("caption", {}, caption);
    const head = make(
      "tr",
      {},
      columns.map(([name, kind]) => make("th", { scope: "col", class: kind }, name)),
    );
    const table = make("table", {}, this.caption, make("thead", {}, head), this.#body);
    this.scroll = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, table);
    this.#none.textContent = none;
    this.element = make("div", { class: "table" }, this.scroll, this.#none);
  }

  show(rows) {
    const kept = this.#kept;
    this.#kept = new Map(rows.map(({ key, cells }) => [key, this.#row(kept.get(key), cells)]));
    setChildren(this.#body, [...this.#kept.values()]);
    this.#none.hidden = rows.length > 0;
    this.scroll.hidden = rows.length === 0;
  }

  #row(old, cells) {
    const row =
      old ??
      make(
        "tr",
        {},
        this.columns.map(([, kind], place) => make(place ? "td" : "th", { class: kind, scope: place ? null : "row" })),
      );
    cells.forEach((cell, place) => {
      const at = row.children[place];
      if (!(cell instanceof Node)) setText(at, String(cell ?? ""));
      else if (!at.firstChild?.isEqualNode?.(cell) || cell.dataset?.live) setChildren(at, [cell]);
    });
    return row;
  }
}

/** Links between pages that begin behind a name: to the first and to the next, where there are such. */
export function pages({ first, next, words }) {
  return make(
    "nav",
    { class: "pages", "aria-label": "Pages" },
    first ? make("a", { href: first }, "First page") : null,
    next ? make("a", { href: next }, "Next page") : null,
    make("span", {}, words),
  );
}
