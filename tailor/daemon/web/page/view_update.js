/** One update: all that is told of it, and what happened to it. */

import { make, section, setChildren } from "./element.js";
import { eventTable, eventRows } from "./event_table.js";
import { ask, path } from "./requests.js";
import { fragment } from "./session.js";
import { UpdateCard } from "./update_card.js";
import { PROGRESS, short } from "./words.js";

const MOST = 100;

export class UpdateView {
  #place = make("div");
  #card = null;
  #events = eventTable("What happened to it, the newest first");

  constructor(address, again) {
    this.address = address;
    this.again = again;
    this.title = `Update ${short(address.update)}`;
    this.element = make(
      "div",
      {},
      make("h1", { tabindex: -1 }, this.title),
      this.#place,
      section("events", "Events", this.#events.element),
    );
  }

  async refresh() {
    const identifier = this.address.update;
    const [update, events] = await Promise.all([ask(path("updates", identifier)), ask(path("log"), { update: identifier, most: MOST })]);
    this.#card ??= new UpdateCard(update, "h2", this.again);
    this.#card.show(update);
    const { model, user } = update;
    const back = make("p", {}, make("a", { href: fragment("user", { model, user }) }, `${user}, user of ${model}`));
    setChildren(this.#place, [this.#place.firstChild ?? back, this.#card.element]);
    this.#events.show(eventRows(events));
    await this.#card.explain();
  }

  happened(event) {
    if (event.update !== this.address.update) return;
    if (event.kind === PROGRESS) this.#card?.progress(event.detail);
    else this.again();
  }
}
