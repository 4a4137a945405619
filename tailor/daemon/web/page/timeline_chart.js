/** Updates over time: a thin line while one waits, a bar while it runs, and the mark of how it ended. */

import { draw, make, setChildren } from "./element.js";
import { fragment } from "./session.js";
import { linear, pack, timeTicks } from "./scales.js";
import { ranFor } from "./spans.js";
import { mark } from "./states.js";
import { clock, counted, day, duration, FINAL } from "./words.js";

const ROW = 24;
const EDGE = { left: 8, right: 22, top: 8, bottom: 40 };
const LEAST_ROWS = 3;
const MOST_ROWS = 20;
const LETTER = 7.5; // pixels, about, of a label

export class TimelineChart {
  #svg = draw("svg", { class: "chart timeline", role: "group", height: 160 });
  #shown = null;
  #width = 0;

  constructor() {
    this.element = make("div", { class: "chart-place low" }, this.#svg);
    new ResizeObserver(([entry]) => {
      this.#width = Math.round(entry.contentRect.width);
      this.#draw();
    }).observe(this.element);
  }

  /** `spans` (spans.js) within `from` to `to`, milliseconds; `words`: what the drawing says, as text. */
  show(shown) {
    this.#shown = shown;
    this.#svg.setAttribute("aria-label", shown.words);
    this.#draw();
  }

  #draw() {
    if (!this.#shown || this.#width < 40) return;
    const { spans, from, to } = this.#shown;
    const x = linear(from, to, EDGE.left, this.#width - EDGE.right);
    const queue = spans.filter((span) => span.update.state === "waiting" && !span.runs.length);
    const others = spans.filter((span) => !queue.includes(span));
    const places = pack(
      others.map((span) => ({ from: x(span.from), to: x(span.to) })),
      20,
    );
    const shown = others.map((span, at) => ({ span, row: places[at] })).filter(({ row }) => row < MOST_ROWS);
    const rows = Math.max(0, ...shown.map(({ row }) => row + 1));
    const height = EDGE.top + Math.max(LEAST_ROWS, rows + (queue.length ? 1 : 0)) * ROW + EDGE.bottom;
    this.#svg.setAttribute("width", this.#width);
    this.#svg.setAttribute("height", height);
    this.#svg.setAttribute("viewBox", `0 0 ${this.#width} ${height}`);
    const bars = shown.map(({ span, row }) => bar(span, x, EDGE.top + row * ROW));
    const last = queue.length ? [waitingNow(queue, x, EDGE.top + rows * ROW)] : [];
    setChildren(this.#svg, [...this.#axis(x, from, to, height), ...bars, ...last]);
  }

  #axis(x, from, to, height) {
    const bottom = height - EDGE.bottom;
    const far = to - from > 36 * 3600000;
    const marks = timeTicks(from, to, Math.max(2, Math.floor(this.#width / 110)));
    const seconds = to - from < 600000;
    return [
      draw("line", { class: "axis", x1: EDGE.left, x2: this.#width - EDGE.right, y1: bottom, y2: bottom }),
      ...marks.flatMap((at) => [
        draw("line", { class: "grid", x1: x(at), x2: x(at), y1: EDGE.top, y2: bottom }),
        draw(
          "text",
          { class: "tick", x: Math.min(Math.max(x(at), 28), this.#width - 28), y: bottom + 16, "text-anchor": "middle" },
          label(new Date(at), far, seconds),
        ),
      ]),
      draw("text", { class: "axis-name", x: this.#width / 2, y: height - 6, "text-anchor": "middle" }, "local time"),
    ];
  }
}

function bar({ update, from, to, runs }, x, top) {
  const middle = top + ROW / 2;
  const end = x(to);
  const name = `${update.user}, ${update.model}`;
  const parts = [hit(x(from), end, top), draw("line", { class: "waits", x1: x(from), x2: end, y1: middle, y2: middle })];
  for (const run of runs) {
    const width = Math.max(3, x(run.to) - x(run.from));
    parts.push(draw("rect", { class: `bar ${update.state}`, x: x(run.from), y: top + 3, width, height: ROW - 6, rx: 2 }));
    const letters = Math.floor((width - 8) / LETTER);
    const text = name.length <= letters ? name : `${name.slice(0, letters - 1)}…`;
    if (letters >= 4) parts.push(draw("text", { class: `in-bar ${update.state}`, x: x(run.from) + 5, y: middle + 4 }, text));
  }
  parts.push(mark(update.state, { transform: `translate(${end + 3} ${middle - 7}) scale(.875)` }));
  const ran = runs.length ? `, ran ${duration(ranFor(runs))}` : "";
  const words = `${name}: ${update.state}${FINAL.includes(update.state) ? "" : " still"}${ran}`;
  return draw("a", { href: fragment("update", { update: update.identifier }), "aria-label": words }, draw("title", {}, words), ...parts);
}

/** Those that wait and never ran, as one line: they may be thousands. */
function waitingNow(queue, x, top) {
  const middle = top + ROW / 2;
  const [begin, end] = [x(Math.min(...queue.map((span) => span.from))), x(queue[0].to)];
  const words = `${counted(queue.length, "update")} waiting`;
  const left = begin > end / 2; // there is room on one side of the line
  return draw(
    "a",
    { href: fragment("now") },
    hit(begin, end, top),
    draw("line", { class: "waits", x1: begin, x2: end, y1: middle, y2: middle }),
    draw(
      "text",
      { class: "tick", x: left ? begin - 6 : begin + 4, y: left ? middle + 4 : middle - 3, "text-anchor": left ? "end" : "start" },
      words,
    ),
    mark("waiting", { transform: `translate(${end + 3} ${middle - 7}) scale(.875)` }),
  );
}

const hit = (from, to, top) => draw("rect", { class: "hit", x: from - 2, y: top + 1, width: Math.max(6, to - from + 4), height: ROW - 2 });

function label(date, far, seconds) {
  if (far) return date.getHours() || date.getMinutes() ? `${day(date).slice(5)} ${clock(date, false)}` : day(date).slice(5);
  return clock(date, seconds);
}
