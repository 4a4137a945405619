/** What guards decided, as numbers: before and after, on each set. Pure. */

import { number } from "./words.js";

const NAMES = { hold_out: "held out", reference: "reference" };

/** Of a verdict: `{accepted, words, sets: [{name, metric, before, after, count}]}`; null: no guard looked. */
export function scores(verdict) {
  if (!verdict) return null;
  const metric = verdict.metric;
  const sets = Object.entries(verdict.sets ?? {}).map(([name, set]) => ({
    name: NAMES[name] ?? name,
    metric,
    count: set.count,
    before: set.before?.[metric] ?? null,
    after: set.after?.[metric] ?? null,
  }));
  return { accepted: Boolean(verdict.accepted), words: verdict.reason ?? "", sets };
}

/** accuracy 0.8 to 0.9 (held out, 10 examples) */
export function scoreText(verdict) {
  const found = scores(verdict);
  if (!found) return "no guard";
  const sets = found.sets.map(
    (set) => `${set.metric} ${number(set.before)} before, ${number(set.after)} after (${set.name}, ${set.count} examples)`,
  );
  return `${found.accepted ? "accepted" : "refused"}${sets.length ? `: ${sets.join("; ")}` : ""}`;
}

/** The curve over versions, oldest first: `{metric, points: [[place, after]], rows}` of the first set of each verdict. */
export function curve(versions) {
  const told = versions.map((version) => scores(version.verdict)?.sets[0] ?? null);
  const metric = told.find((set) => set)?.metric ?? null;
  const same = told.map((set) => (set?.metric === metric ? set : null));
  return {
    metric,
    points: same.map((set, place) => [place + 1, set?.after ?? null]).filter(([, after]) => after !== null),
    rows: same.map((set, place) => [String(place + 1), set ? number(set.before) : "", set ? number(set.after) : ""]),
  };
}
