/** What the daemon does at this moment. */

import { facts, make, section, setChildren, setText, timeOf } from "./element.js";
import { ask, path } from "./requests.js";
import { fragment } from "./session.js";
import { Table } from "./tables.js";
import { ACTIVE, count, counted, duration, moment, PROGRESS, reason, reasonsOf, sentence, size } from "./words.js";
import { UpdateCard } from "./update_card.js";

const MOST_CARDS = 12;
const MOST_WAITING = 20;

export class NowView {
  title = "Now";
  #cards = new Map();
  #facts = make("div");
  #places = make("div", { class: "cards" });
  #rest = make("p", { class: "none" });
  #waiting = new Table(
    "Updates that wait for their turn",
    [["Model and user"], ["Why it was made"], ["Made"], ["Why it waits", "text"]],
    "No update waits.",
  );
  #lanes = new Table("Lanes", [["Lane"], ["At work", "number"], ["Room for", "number"]], "No lanes.");
  #syncs = new Table("Last sync with each place", [["Place"], ["When"], ["Result"], ["In words", "text"]], "Nothing is synced.");

  constructor(_, again) {
    this.again = again;
    this.element = make(
      "div",
      {},
      make("h1", { tabindex: -1 }, "Now"),
      section("daemon", "The daemon", this.#facts),
      section("open", "Updates at work", this.#places, this.#rest),
      section("queue", "Updates that wait", this.#waiting.element),
      section("machine", "Lanes and syncs", make("div", { class: "side" }, this.#lanes.element, this.#syncs.element)),
    );
  }

  async refresh() {
    const [status, active, waiting] = await Promise.all([
      ask(path("status")),
      ask(path("updates"), { state: ACTIVE, most: MOST_CARDS }),
      ask(path("updates"), { state: "waiting", most: MOST_WAITING }),
    ]);
    this.#showStatus(status);
    this.#showActive(active, status);
    await Promise.all([this.#showWaiting(waiting, status), ...[...this.#cards.values()].map((card) => card.explain())]);
  }

  /** An event that came. Progress is drawn at once; all else is asked for anew. */
  happened(event) {
    const card = this.#cards.get(event.update);
    if (card && event.kind === PROGRESS) card.progress(event.detail);
    else this.again();
  }

  #showStatus(status) {
    const open = Object.entries(status.updates)
      .filter(([, number]) => number)
      .map(([state, number]) => `${count(number)} ${state}`);
    const rows = [
      ["State", status.state],
      ["Updates under way", open.join(", ") || "none"],
      ["Examples that wait", count(status.waiting)],
      ["Users", count(status.users)],
      ["Models", `${count(status.models)}, ${count(status.models_in_memory)} in memory`],
      ["Memory", size(status.memory)],
      [
        "Runs since",
        timeOf(status.started_at, `${moment(status.started_at)} (${duration((Date.now() - new Date(status.started_at)) / 1000)})`),
      ],
      ["Version", `${status.version}, process ${status.pid}`],
      ["Listens at", status.listening.join(", ")],
      ["Store", status.store],
      ["Settings", status.settings ?? "defaults, no file"],
    ];
    setChildren(this.#facts, [facts(rows)]);
    this.#lanes.show(status.lanes.map((lane) => ({ key: lane.name, cells: [lane.name, count(lane.busy), count(lane.capacity)] })));
    this.#syncs.show(
      status.syncs.map((sync) => ({
        key: sync.place,
        cells: [sync.place, timeOf(sync.at, moment(sync.at)), sync.ok ? "done" : "failed", sync.text],
      })),
    );
  }

  #showActive(updates, status) {
    const kept = this.#cards;
    this.#cards = new Map(
      updates.map((update) => [update.identifier, kept.get(update.identifier) ?? new UpdateCard(update, "h3", this.again)]),
    );
    for (const update of updates) this.#cards.get(update.identifier).show(update);
    setChildren(
      this.#places,
      [...this.#cards.values()].map((card) => card.element),
    );
    const all = ACTIVE.reduce((sum, state) => sum + (status.updates[state] ?? 0), 0);
    this.#rest.hidden = all > 0 && all <= updates.length;
    setText(this.#rest, all > updates.length ? `And ${counted(all - updates.length, "update")} more.` : "No update is at work.");
  }

  async #showWaiting(updates, status) {
    const all = status.updates.waiting ?? 0;
    setText(
      this.#waiting.caption,
      all > updates.length
        ? `The newest ${updates.length} of ${count(all)} updates that wait for their turn`
        : "Updates that wait for their turn",
    );
    const whys = await Promise.all(updates.map((update) => ask(path("updates", update.identifier, "why"))));
    this.#waiting.show(
      updates.map((update, place) => ({
        key: update.identifier,
        cells: [
          make("a", { href: fragment("update", { update: update.identifier }) }, `${update.model}, user ${update.user}`),
          reason(update.reason),
          timeOf(update.made_at, moment(update.made_at)),
          sentence(reasonsOf(whys[place]).join("; ")),
        ],
      })),
    );
  }
}
