/** What ran when, and why not; and the events. */

import { make, section, setChildren, setText, timeOf } from "./element.js";
import { eventRows, eventTable } from "./event_table.js";
import { ask, path } from "./requests.js";
import { fragment } from "./session.js";
import { at, idle, ranFor, spanOf, within } from "./spans.js";
import { badge, STATES } from "./states.js";
import { Table } from "./tables.js";
import { TimelineChart } from "./timeline_chart.js";
import { clock, count, counted, day, duration, moment, PROGRESS, reasonsOf, sentence, words } from "./words.js";

const RANGES = { 600: "10 minutes", 3600: "hour", 86400: "24 hours", 604800: "7 days", 2592000: "30 days" };
const MOST_UPDATES = 500; // in the drawing
const PAGE = 100; // updates that are asked for at once
const MOST_ROWS = 50; // of events
const MOST_EVENTS = 1000; // that are read at once: a page of a kind, and what explains the drawing, come of them

function moments(from, to) {
  const [begin, end] = [new Date(from), new Date(to)];
  return `${day(begin)} ${clock(begin)} to ${day(begin) === day(end) ? "" : `${day(end)} `}${clock(end)}`;
}

export class TimelineView {
  title = "Timeline";
  #chart = new TimelineChart();
  #summary = make("p");
  #bars = new Table(
    "The updates of the drawing",
    [["Update"], ["State"], ["Made"], ["Ran", "number"], ["Waited", "number"]],
    "No update in this time.",
  );
  #gaps = new Table(
    "When nothing ran, and why",
    [["From and to"], ["For", "number"], ["Why", "text"]],
    "Nothing that is worth a row: something was always at work.",
  );
  #table = eventTable("Events, the newest first");
  #known = []; // the newest events, the oldest of them first
  #pages = make("div");
  #kind = make("select", { id: "kind", change: () => this.#go({ kind: this.#kind.value, before: "" }) });
  #kinds = new Set();

  constructor(address, again) {
    this.address = address;
    this.again = again;
    this.range = Object.hasOwn(RANGES, address.range ?? "") ? Number(address.range) : 86400;
    const range = make(
      "select",
      { id: "range", change: () => this.#go({ range: range.value }) },
      Object.entries(RANGES).map(([seconds, name]) =>
        make("option", { value: seconds, selected: Number(seconds) === this.range }, `the last ${name}`),
      ),
    );
    const legend = STATES.map((state) => make("li", {}, badge(state)));
    this.element = make(
      "div",
      {},
      make("h1", { tabindex: -1 }, "Timeline"),
      section(
        "runs",
        "What ran when",
        make("p", { class: "filter" }, make("label", { for: "range" }, "Time"), range),
        this.#summary,
        this.#chart.element,
        make("ul", { class: "legend", "aria-label": "Marks of states" }, legend, make("li", {}, "thin line: it waited; bar: it ran")),
        make("details", {}, make("summary", {}, "The same as a table"), this.#bars.element),
      ),
      section("gaps", "Why not", this.#gaps.element),
      section(
        "events",
        "Events",
        make("p", { class: "filter" }, make("label", { for: "kind" }, "Kind"), this.#kind),
        this.#table.element,
        this.#pages,
      ),
    );
  }

  #go(fields) {
    const { range, kind, before } = { ...this.address, ...fields };
    location.hash = fragment("timeline", { range, kind, before });
  }

  async refresh() {
    const now = Date.now();
    const from = now - this.range * 1000;
    const [updates, pool] = await Promise.all([this.#updates(from), this.#events()]);
    const spans = within(
      updates.map((update) => spanOf(update, this.#known, now)),
      from,
      now,
    );
    this.#showSpans(spans, updates, from, now);
    this.#showEvents(pool);
    await this.#showGaps(spans, from, now);
  }

  happened(event) {
    if (event.kind !== PROGRESS) this.again();
  }

  /** Updates that reach into the time, the newest first. One that was made long before and ended in it may be missed. */
  async #updates(from) {
    const all = [];
    while (all.length < MOST_UPDATES) {
      const page = await ask(path("updates"), { after: all.at(-1)?.identifier, most: PAGE });
      all.push(...page);
      if (page.length < PAGE || new Date(page.at(-1).made_at).getTime() < from) return all;
    }
    return all;
  }

  /** Reads on in the newest events, and gives those that the page is made of: the newest, or those before the one in the address. */
  async #events() {
    const last = this.#known.at(-1)?.sequence;
    const news = await ask(path("log"), { after: last, most: MOST_EVENTS });
    this.#known = [...this.#known, ...news].slice(-MOST_EVENTS);
    const { before } = this.address;
    return before ? ask(path("log"), { before, most: MOST_EVENTS }) : this.#known;
  }

  #showSpans(spans, updates, from, to) {
    const ran = spans.filter((span) => span.runs.length);
    const more = updates.length >= MOST_UPDATES ? ` (of the newest ${count(updates.length)})` : "";
    const together = duration(ran.reduce((sum, span) => sum + ranFor(span.runs), 0));
    const all = `${counted(spans.length, "update")}${more} in the last ${RANGES[this.range]}`;
    const summary = `${all}${ran.length ? `; ${count(ran.length)} of them ran, ${together} together` : ""}.`;
    setText(this.#summary, summary);
    this.#chart.show({ spans, from, to, words: `Updates over time, ${moments(from, to)}. ${summary}` });
    this.#bars.show(
      spans.map(({ update, runs, from: made, to: ended }) => ({
        key: update.identifier,
        cells: [
          make("a", { href: fragment("update", { update: update.identifier }) }, `${update.model}, user ${update.user}`),
          badge(update.state),
          timeOf(update.made_at, moment(update.made_at)),
          runs.length ? duration(ranFor(runs)) : "not",
          duration((ended - made) / 1000 - ranFor(runs)),
        ],
      })),
    );
  }

  /** Of what waits now the daemon says why; of what waited then, the events do. */
  async #showGaps(spans, from, now) {
    const since = this.#known.length < MOST_EVENTS ? 0 : at(this.#known[0].time);
    const found = idle(spans, this.#known, from, now, (now - from) / 50, since);
    const open = found[0]?.to === now ? found[0].waiting.find((update) => update.state === "waiting") : undefined;
    const told = open && reasonsOf(await ask(path("updates", open.identifier, "why"))).join("; ");
    this.#gaps.show(
      found.map((gap, place) => {
        const link = open && !place ? make("a", { href: fragment("update", { update: open.identifier }) }, told) : null;
        const text = sentence(gap.text);
        return {
          key: gap.from,
          cells: [moments(gap.from, gap.to), duration((gap.to - gap.from) / 1000), link ? make("span", {}, `${text}; now: `, link) : text],
        };
      }),
    );
  }

  #showEvents(pool) {
    const { kind = "", before, range } = this.address;
    this.#showKinds(pool, kind);
    const matching = kind ? pool.filter((event) => event.kind === kind) : pool;
    const events = matching.slice(-MOST_ROWS);
    this.#table.show(eventRows(events));
    const first = matching.length > MOST_ROWS ? events[0] : pool.length === MOST_EVENTS ? pool[0] : null; // older ones are behind it
    const searched = kind ? ` of ${counted(pool.length, "event")} looked at` : "";
    const links = [
      before ? make("a", { href: fragment("timeline", { range, kind }) }, "Newest") : null,
      first ? make("a", { href: fragment("timeline", { range, kind, before: first.sequence }) }, "Older") : null,
      make("span", {}, `${counted(events.length, "event")}${searched}`),
    ];
    setChildren(this.#pages, [make("nav", { class: "pages", "aria-label": "Pages of events" }, links)]);
  }

  #showKinds(pool, kind) {
    for (const event of pool) this.#kinds.add(event.kind);
    const wanted = ["", ...[...new Set([...this.#kinds, kind].filter(Boolean))].sort()];
    if (this.#kind.options.length && wanted.join() === [...this.#kind.options].map((option) => option.value).join()) return;
    this.#kind.replaceChildren(
      ...wanted.map((name) => make("option", { value: name, selected: name === kind }, name ? words(name) : "every kind")),
    );
  }
}
