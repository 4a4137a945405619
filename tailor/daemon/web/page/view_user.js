/** A user of a model: where the examples are, which versions there were and what guards said of them, the updates. */

import { Deeds } from "./confirm.js";
import { facts, make, section, setChildren, setText, timeOf } from "./element.js";
import { LineChart } from "./line_chart.js";
import { ask, path } from "./requests.js";
import { fragment } from "./session.js";
import { badge } from "./states.js";
import { pages, Table } from "./tables.js";
import { whyOf } from "./update_card.js";
import { curve, scoreText } from "./verdicts.js";
import { count, counted, moment, number, PROGRESS, reason, short, size } from "./words.js";

const MOST_VERSIONS = 100;
const MOST_UPDATES = 20;

export class UserView {
  #why = make("div", { class: "why" });
  #facts = make("div");
  #examples = new Table("Examples by state", [["State"], ["Examples", "number"]]);
  #chartTitle = make("h3", {}, "Scores by version");
  #chart = new LineChart({ across: "versions, the oldest first", up: "score", columns: ["Version", "Before", "After"] });
  #versions = new Table(
    "Versions, the newest first",
    [["Version"], ["Made"], ["What the guard decided", "text"], ["Came of update"], ["On"], ["Roll back"]],
    "No version yet: the model is used as it was registered.",
  );
  #updates = new Table(
    "Updates, the newest first",
    [["Update"], ["State"], ["Why it was made"], ["Examples", "number"], ["Made"], ["Last loss", "number"], ["Error"]],
    "No update yet.",
  );
  #pages = make("div");
  #rollbacks = new Map();

  constructor(address, again) {
    this.address = address;
    this.again = again;
    this.title = `${address.user}, user of ${address.model}`;
    this.deeds = new Deeds(`user ${address.user} of ${address.model}`, again);
    this.element = make(
      "div",
      {},
      make("h1", { tabindex: -1 }, this.title),
      make("p", {}, make("a", { href: fragment("model", { model: address.model }) }, `All users of ${address.model}`)),
      section("next", "What comes next", this.#why, this.deeds.element),
      section("examples", "Examples", make("div", { class: "side" }, this.#examples.element, this.#facts)),
      section("versions", "Versions", this.#chartTitle, this.#chart.element, this.#versions.element),
      section("updates", "Updates", this.#updates.element, this.#pages),
    );
  }

  async refresh() {
    const { model, user, after } = this.address;
    const at = (...more) => path("models", model, "users", user, ...more);
    const [about, why, versions, updates] = await Promise.all([
      ask(at()),
      ask(at("why")),
      ask(at("history"), { most: MOST_VERSIONS }),
      ask(at("updates"), { after, most: MOST_UPDATES }),
    ]);
    setChildren(this.#why, whyOf(why));
    this.#showExamples(about);
    this.deeds.show(deeds(about, at("updates")));
    this.#showVersions(versions, about, at("rollback"));
    this.#showUpdates(updates);
  }

  happened(event) {
    if (event.kind !== PROGRESS && event.model === this.address.model && event.user === this.address.user) this.again();
  }

  #showExamples(user) {
    const states = ["waiting", "taken", "learned", "set_aside"];
    const words = {
      waiting: "waiting for an update",
      taken: "taken by an update",
      learned: "learned by a version",
      set_aside: "set aside: their update failed, was cancelled or refused",
    };
    this.#examples.show(states.map((state) => ({ key: state, cells: [words[state], count(user[state])] })));
    const rows = [
      ["Kept", size(user.size)],
      ["Version", user.trouble ?? (user.version ? short(user.version) : "the model as it was registered")],
      ["Update under way", user.update ? make("a", { href: fragment("update", { update: user.update }) }, short(user.update)) : "none"],
      ["User since", timeOf(user.added_at, moment(user.added_at))],
    ];
    setChildren(this.#facts, [facts(rows)]);
  }

  #showVersions(versions, user, where) {
    const { metric, points, rows } = curve([...versions].reverse());
    this.#chart.element.hidden = this.#chartTitle.hidden = points.length < 2;
    if (points.length >= 2) {
      setText(this.#chartTitle, `The guard's ${metric} by version`);
      this.#chart.up = metric;
      const words = `${metric} by version: ${number(points[0][1])} at first, ${number(points.at(-1)[1])} now`;
      const bounds = metric === "accuracy" ? { low: 0, high: 1 } : { low: 0 };
      this.#chart.show({ points, from: 1, to: versions.length, ...bounds, words, rows });
    }
    this.#rollbacks = new Map(
      versions.map((version) => [
        version.identifier,
        this.#rollbacks.get(version.identifier) ?? new Deeds(`version ${short(version.identifier)}`, this.again),
      ]),
    );
    this.#versions.show(
      versions.map((version) => {
        const back = this.#rollbacks.get(version.identifier);
        const now = version.identifier === user.version;
        back.show(now || version.pruned ? [] : [rollback(version, where)]);
        back.element.dataset.live = "yes";
        return {
          key: version.identifier,
          cells: [
            `${short(version.identifier)}${now ? " (in use)" : ""}${version.pruned ? " (content removed)" : ""}`,
            timeOf(version.created_at, moment(version.created_at)),
            scoreText(version.verdict),
            version.update
              ? make("a", { href: fragment("update", { update: version.update }) }, short(version.update))
              : version.message || "",
            version.device,
            back.element,
          ],
        };
      }),
    );
    setText(
      this.#versions.caption,
      versions.length === MOST_VERSIONS ? `The newest ${MOST_VERSIONS} versions` : "Versions, the newest first",
    );
  }

  #showUpdates(updates) {
    const { model, user, after } = this.address;
    this.#updates.show(
      updates.map((update) => ({
        key: update.identifier,
        cells: [
          make("a", { href: fragment("update", { update: update.identifier }) }, short(update.identifier)),
          badge(update.state),
          reason(update.reason),
          count(update.examples),
          timeOf(update.made_at, moment(update.made_at)),
          update.losses.length ? number(update.losses.at(-1)) : "",
          update.error ?? "",
        ],
      })),
    );
    const next = updates.length === MOST_UPDATES ? fragment("user", { model, user, after: updates.at(-1).identifier }) : null;
    setChildren(
      this.#pages,
      next || after
        ? [pages({ first: after ? fragment("user", { model, user }) : null, next, words: counted(updates.length, "update") })]
        : [],
    );
  }
}

function deeds(user, where) {
  const of = `${user.user} of ${user.model}`;
  const now = {
    name: "Update now",
    where,
    body: {},
    question: `Update now, with the ${counted(user.waiting, "example")} that wait of ${of}?`,
    done: `An update of ${of} is made.`,
  };
  const again = {
    name: "Try again",
    where,
    body: { again: true },
    question: `Update now, with the ${counted(user.set_aside, "example")} that were set aside, too, of ${of}?`,
    done: `An update of ${of} is made.`,
  };
  return [user.waiting && !user.update ? now : null, user.set_aside && !user.update ? again : null].filter(Boolean);
}

function rollback(version, where) {
  const name = short(version.identifier);
  return {
    name: "Roll back",
    where,
    body: { to: version.identifier },
    question: `Roll back to version ${name} of ${moment(version.created_at)}? Later versions stay in the history.`,
    done: `Rolled back to ${name}.`,
  };
}
