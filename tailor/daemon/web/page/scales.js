/** Where things stand on an axis. Pure. */

/** A function from numbers between `low` and `high` to places between `from` and `to`. */
export function linear(low, high, from, to) {
  const span = high - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
}

/** The same for numbers above 0, where equal ratios are equally far apart. */
export function logarithmic(low, high, from, to) {
  const place = linear(Math.log10(low), Math.log10(high), from, to);
  return (value) => place(Math.log10(value));
}

/** Numbers 1, 2 and 5 times powers of ten, or those powers alone where that is enough, around `low` to `high`, both above 0. */
export function ratioTicks(low, high) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const factors = high / low > 100 ? [1] : [1, 2, 5];
  const all = [];
  for (let power = first; power <= last; power += 1) all.push(...factors.map((factor) => Number(`${factor}e${power}`)));
  const begin = all.findLastIndex((value) => value <= low);
  const end = all.findIndex((value) => value >= high);
  return all.slice(begin, end + 1);
}

/** Round numbers (1, 2 or 5 times a power of ten apart) from at or below `low` to at or above `high`, about `most` of them. */
export function ticks(low, high, most = 5) {
  if (!(high > low)) {
    const around = Math.abs(low) || 1;
    return ticks(low - around / 2, low + around / 2, most);
  }
  const raw = (high - low) / Math.max(1, most - 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw * (1 - 1e-9));
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  return Array.from({ length: last - first + 1 }, (_, place) => Number(((first + place) * step).toFixed(Math.min(100, digits))));
}

const STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000, 7776000,
];

/** Moments (milliseconds) between `from` and `to` that people count by, at most `most`, beginning at a local midnight. */
export function timeTicks(from, to, most = 6) {
  const step = (STEPS.find((seconds) => (to - from) / 1000 / seconds <= most) ?? (to - from) / 1000 / most) * 1000;
  const midnight = new Date(from);
  midnight.setHours(0, 0, 0, 0);
  const found = [];
  if (step < 86400000) {
    for (let at = midnight.getTime(); at <= to; at += step) if (at >= from) found.push(at);
    return found;
  }
  for (const date = midnight; date.getTime() <= to; date.setDate(date.getDate() + Math.round(step / 86400000))) {
    if (date.getTime() >= from) found.push(date.getTime()); // by days, not by hours: a day may have 23 or 25
  }
  return found;
}

/** Rows for spans `{from, to}`, so that none lies on another: the row of each, in their order. The earliest are placed first. */
export function pack(spans, apart = 0) {
  const rows = [];
  const found = new Array(spans.length);
  for (const place of spans.map((_, place) => place).sort((a, b) => spans[a].from - spans[b].from || a - b)) {
    let row = rows.findIndex((end) => end + apart <= spans[place].from);
    if (row < 0) row = rows.push(0) - 1;
    rows[row] = spans[place].to;
    found[place] = row;
  }
  return found;
}

/** The stretches of `from` to `to` that no span covers. */
export function gaps(spans, from, to) {
  const found = [];
  let reached = from;
  for (const span of [...spans].sort((a, b) => a.from - b.from)) {
    if (span.from > reached) found.push({ from: reached, to: Math.min(span.from, to) });
    reached = Math.max(reached, span.to);
    if (reached >= to) return found;
  }
  if (reached < to) found.push({ from: reached, to });
  return found;
}
