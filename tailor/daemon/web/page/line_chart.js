/** A line over a few numbers, with axes and a table of the same numbers for those who do not see it. */

import { draw, make, setChildren, setText } from "./element.js";
import { linear, logarithmic, ratioTicks, ticks } from "./scales.js";
import { number } from "./words.js";

const HEIGHT = 190;
const MOST_DOTS = 40;
const RATIO = 20; // of the greatest to the least: from here on the axis goes by ratios, else most of the curve would lie on the ground
const EDGE = { left: 58, right: 14, top: 12, bottom: 40 };

/**
 * A drawing that follows the width of its place: `element` is to be put somewhere, `show` draws.
 * `across` and `up` name the axes, with units; `columns` head the table of numbers.
 */
export class LineChart {
  #svg = draw("svg", { class: "chart", role: "img", height: HEIGHT });
  #numbers = make("tbody");
  #shown = null;
  #width = 0;

  constructor({ across, up, columns }) {
    this.across = across;
    this.up = up;
    const head = make(
      "tr",
      {},
      columns.map((name) => make("th", { scope: "col" }, name)),
    );
    const table = make("table", {}, make("caption", {}, "The numbers of the chart"), make("thead", {}, head), this.#numbers);
    this.element = make(
      "figure",
      { class: "figure" },
      make("div", { class: "chart-place" }, this.#svg),
      make(
        "details",
        {},
        make("summary", {}, "Numbers"),
        make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The numbers of the chart" }, table),
      ),
    );
    new ResizeObserver(([entry]) => {
      this.#width = Math.round(entry.contentRect.width);
      this.#draw();
    }).observe(this.#svg.parentNode);
  }

  /**
   * `points`: [[x, y], ...]; a y that is no number leaves a gap.
   * `from`, `to`: the least and the greatest x. `low`, `high`: y that must be seen, too, unless the axis goes by ratios.
   * `words`: what the drawing says, as text.
   * `rows`: the table of the numbers.
   */
  show(shown) {
    this.#shown = shown;
    this.#svg.setAttribute("aria-label", shown.words);
    setText(this.#svg.parentNode.nextSibling.firstChild, `Numbers (${shown.rows.length})`);
    setChildren(
      this.#numbers,
      shown.rows.map((row) =>
        make(
          "tr",
          {},
          row.map((cell) => make("td", {}, cell)),
        ),
      ),
    );
    this.#draw();
  }

  #draw() {
    if (!this.#shown || this.#width < 40) return;
    const { points, from, to, low, high } = this.#shown;
    const seen = points.map(([, y]) => y).filter((y) => Number.isFinite(y));
    const [least, greatest] = seen.length ? [Math.min(...seen), Math.max(...seen)] : [0, 1];
    const byRatio = least > 0 && greatest / least >= RATIO;
    const steps = byRatio ? ratioTicks(least, greatest) : ticks(Math.min(least, low ?? least), Math.max(greatest, high ?? greatest), 5);
    const x = linear(from, to, EDGE.left, this.#width - EDGE.right);
    const y = (byRatio ? logarithmic : linear)(steps[0], steps.at(-1), HEIGHT - EDGE.bottom, EDGE.top);
    this.#svg.setAttribute("width", this.#width);
    this.#svg.setAttribute("viewBox", `0 0 ${this.#width} ${HEIGHT}`);
    setChildren(this.#svg, [...this.#axes(x, y, steps, from, to, byRatio), ...drawn(points, x, y)]);
  }

  #axes(x, y, steps, from, to, byRatio) {
    const right = this.#width - EDGE.right;
    const bottom = HEIGHT - EDGE.bottom;
    const whole = ticks(from, Math.max(to, from + 1), Math.max(2, Math.floor(this.#width / 70))).filter(
      (at) => Number.isInteger(at) && at >= from && at <= to,
    );
    return [
      ...steps.flatMap((at) => [
        draw("line", { class: "grid", x1: EDGE.left, x2: right, y1: y(at), y2: y(at) }),
        draw("text", { class: "tick", x: EDGE.left - 6, y: y(at) + 4, "text-anchor": "end" }, number(at)),
      ]),
      ...whole.map((at) => draw("text", { class: "tick", x: x(at), y: bottom + 16, "text-anchor": "middle" }, number(at))),
      draw("line", { class: "axis", x1: EDGE.left, x2: right, y1: bottom, y2: bottom }),
      draw("text", { class: "axis-name", x: (EDGE.left + right) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, this.across),
      draw(
        "text",
        {
          class: "axis-name",
          x: 12,
          y: (EDGE.top + bottom) / 2,
          "text-anchor": "middle",
          transform: `rotate(-90 12 ${(EDGE.top + bottom) / 2})`,
        },
        byRatio ? `${this.up}, by ratios` : this.up,
      ),
    ];
  }
}

function drawn(points, x, y) {
  const place = ([across, up]) => `${x(across).toFixed(1)} ${y(up).toFixed(1)}`;
  const isThere = (point) => Number.isFinite(point?.[1]);
  const steps = points.map((point, at) => (isThere(point) ? `${isThere(points[at - 1]) ? "L" : "M"}${place(point)}` : ""));
  const dots =
    points.length <= MOST_DOTS ? points.filter(isThere).map(([across, up]) => draw("circle", { cx: x(across), cy: y(up), r: 3.5 })) : [];
  return [draw("path", { class: "line", d: steps.join("") }), ...dots];
}
