/** Things that change something are asked for once more, then done. */

import { announce, make } from "./element.js";
import { canChange, send } from "./requests.js";

function confirmed(question, yes) {
  return new Promise((resolve) => {
    const dialog = make(
      "dialog",
      { "aria-labelledby": "question", close: () => (resolve(dialog.returnValue === "yes"), dialog.remove()) },
      make("p", { id: "question" }, question),
      make(
        "form",
        { method: "dialog", class: "buttons" },
        make("button", { value: "no", autofocus: true }, "Leave it"),
        make("button", { value: "yes", class: "deed" }, yes),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * A place for buttons. `show(deeds)` takes `{name, question, yes, where, body, done}`: POSTs `body` to `where` once it is confirmed,
 * says `done`,
 * and calls `after`. Without a token that may change things there are none.
 */
export class Deeds {
  #buttons = make("div", { class: "buttons" });
  #told = make("p", { class: "error", role: "alert" });
  #shown = "";

  constructor(about, after) {
    this.about = about;
    this.after = after;
    this.#told.hidden = true;
    this.element = make("div", { class: "deeds" }, this.#buttons, this.#told);
  }

  show(deeds) {
    const allowed = canChange() ? deeds : [];
    const key = JSON.stringify(allowed);
    if (key === this.#shown) return; // a button that has the focus stays
    this.#shown = key;
    this.#buttons.replaceChildren(
      ...allowed.map((deed) =>
        make("button", { type: "button", "aria-label": `${deed.name}: ${this.about}`, click: () => this.#do(deed) }, deed.name),
      ),
    );
  }

  async #do({ name, question, yes, where, body, done }) {
    if (!(await confirmed(question, yes ?? name))) return;
    this.#told.hidden = true;
    try {
      await send(where, body);
      announce(done);
    } catch (error) {
      this.#told.textContent = `${name}: ${error.message}`;
      this.#told.hidden = false;
    }
    await this.after();
  }
}
