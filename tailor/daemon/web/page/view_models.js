/** The models, and the users of one: by pages, and by how their names begin. */

import { facts, make, section, setChildren, timeOf } from "./element.js";
import { ask, path } from "./requests.js";
import { fragment } from "./session.js";
import { pages, Table } from "./tables.js";
import { count, moment, PROGRESS, short, size } from "./words.js";

const MOST = 50;
const LONGEST = 60;
const LETTERS = "+-.0123456789@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"; // of names, in the order of their codes
const FIRST = LETTERS.replace(/[^0-9A-Za-z]/g, "");

/** The last name that there can be before those that begin with `prefix`; none: "". Pure. */
export function nameBefore(prefix) {
  if (!prefix) return "";
  const head = prefix.slice(0, -1);
  const letters = head ? LETTERS : FIRST;
  const before = [...letters].filter((letter) => letter < prefix.at(-1)).at(-1);
  return before ? (head + before).padEnd(LONGEST, "z") : head;
}

export class ModelsView {
  title = "Models and users";
  #table = new Table(
    "Registered models",
    [["Model"], ["Users", "number"], ["Kind"], ["Can learn"], ["Size", "number"], ["Registered"]],
    "No model is registered. tailor daemon register FILE does so.",
  );

  constructor(_, again) {
    this.again = again;
    this.element = make("div", {}, make("h1", { tabindex: -1 }, "Models and users"), this.#table.element);
  }

  async refresh() {
    const models = await ask(path("models"));
    this.#table.show(
      models.map((model) => ({
        key: model.name,
        cells: [
          make("a", { href: fragment("model", { model: model.name }) }, model.name),
          count(model.users),
          model.kind,
          model.is_updatable ? "yes" : "no",
          size(model.size),
          timeOf(model.registered_at, moment(model.registered_at)),
        ],
      })),
    );
  }

  happened(event) {
    if (event.kind !== PROGRESS) this.again();
  }
}

export class ModelView {
  #facts = make("div");
  #pages = make("div");
  #users;

  constructor(address, again) {
    this.address = address;
    this.again = again;
    this.title = `Model ${address.model}`;
    this.#users = new Table(
      `Users of ${address.model}, by name`,
      [["User"], ["Waiting", "number"], ["Learned", "number"], ["Set aside", "number"], ["Version"], ["What comes next", "text"]],
      "No such user.",
    );
    const input = make("input", {
      id: "prefix",
      name: "prefix",
      value: address.prefix ?? "",
      autocomplete: "off",
      spellcheck: "false",
      maxlength: LONGEST,
    });
    const search = make(
      "form",
      { role: "search", class: "filter", submit: (event) => this.#filter(event, input.value.trim()) },
      make("label", { for: "prefix" }, "Name, or how it begins"),
      input,
      make("button", {}, "Show"),
    );
    this.element = make(
      "div",
      {},
      make("h1", { tabindex: -1 }, this.title),
      section("about", "About it", this.#facts),
      section("users", "Users", search, this.#users.element, this.#pages),
    );
  }

  #filter(event, prefix) {
    event.preventDefault();
    location.hash = fragment("model", { model: this.address.model, prefix });
  }

  async refresh() {
    const { model, prefix = "", after } = this.address;
    const [about, found] = await Promise.all([
      ask(path("models", model)),
      ask(path("models", model, "users"), { after: after ?? nameBefore(prefix), most: MOST }),
    ]);
    const users = found.filter((user) => user.user.startsWith(prefix));
    setChildren(this.#facts, [facts(rows(about))]);
    this.#users.show(
      users.map((user) => ({
        key: user.user,
        cells: [
          make("a", { href: fragment("user", { model, user: user.user }) }, user.user),
          count(user.waiting),
          count(user.learned),
          count(user.set_aside),
          user.trouble ? "trouble" : short(user.version),
          user.trouble ? `${user.trouble}; ${user.next}` : user.next,
        ],
      })),
    );
    const next = users.length === MOST ? fragment("model", { model, prefix, after: users.at(-1).user }) : null;
    const shown = users.length
      ? `${users.length} shown, ${users[0].user} to ${users.at(-1).user}; ${count(about.users)} in all`
      : `${count(about.users)} in all`;
    setChildren(this.#pages, [pages({ first: after ? fragment("model", { model, prefix }) : null, next, words: shown })]);
  }

  happened(event) {
    if (event.kind !== PROGRESS && (!event.model || event.model === this.address.model)) this.again();
  }
}

function rows(model) {
  const named = (features) =>
    Object.entries(features)
      .map(([name, words]) => `${name}: ${words}`)
      .join("; ") || "none";
  return [
    ["Kind", model.kind],
    ["Can learn", model.is_updatable ? "yes" : "no"],
    ["Inputs", named(model.inputs)],
    ["Outputs", named(model.outputs)],
    ["Learns from", named(model.training_inputs)],
    [
      "Parameters",
      Object.entries(model.parameters)
        .map(([name, value]) => `${name} ${value}`)
        .join("; ") || "none",
    ],
    ["Size", size(model.size)],
    ["Registered", timeOf(model.registered_at, moment(model.registered_at))],
    ["Content (SHA-256)", model.base],
  ];
}
