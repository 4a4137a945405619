/** Updates as stretches of time: when each was there, when it ran, and when nothing ran and why. Pure. */

import { gaps } from "./scales.js";
import { clock, counted, moment } from "./words.js";

const OPENS = ["update_begun", "update_resumed"];
const CLOSES = ["update_paused", "update_ended"];
const EXPLAINS = ["update_paused", "trouble", "daemon_stopping"];

export const at = (iso) => (iso ? new Date(iso).getTime() : null);

/**
 * An update as `{update, from, to, runs}`, in milliseconds: it was there from `from` to `to` (`now`, while it is open), and ran in `runs`.
 * `events`: those that are known, the oldest first. Before them it counts as running from its beginning on.
 */
export function spanOf(update, events, now) {
  const to = at(update.ended_at) ?? now;
  const runs = [];
  let open = at(update.begun_at);
  let before = open;
  const close = (time) => {
    if (open !== null && time > open) runs.push({ from: open, to: time });
    open = null;
  };
  for (const event of events) {
    const time = at(event.time);
    if (open !== null && time < open) continue;
    if (event.kind === "daemon_started")
      close(before); // it was killed: nothing told of the end
    else if (event.update === update.identifier && OPENS.includes(event.kind)) open ??= time;
    else if (event.update === update.identifier && CLOSES.includes(event.kind)) close(time);
    before = time;
  }
  close(to);
  return { update, from: at(update.made_at), to, runs };
}

/** Seconds of all `runs` together. */
export const ranFor = (runs) => runs.reduce((sum, run) => sum + run.to - run.from, 0) / 1000;

/** The spans that reach into `from` to `to`, cut to it. */
export function within(spans, from, to) {
  const cut = (one) => ({ ...one, from: Math.max(one.from, from), to: Math.min(one.to, to) });
  const inside = (one) => one.to >= from && one.from <= to;
  return spans.filter(inside).map((span) => ({ ...cut(span), runs: span.runs.filter(inside).map(cut) }));
}

/**
 * When nothing ran for longer than `least` milliseconds, and why: `[{from, to, text, waiting}]`, the newest first.
 * `waiting`: the updates that could have run. `events`: those that are known, the oldest first; `since`: from when on they are.
 */
export function idle(spans, events, from, to, least, since) {
  return gaps(
    spans.flatMap((span) => span.runs),
    from,
    to,
  )
    .filter((gap) => gap.to - gap.from > least)
    .map((gap) => {
      const worth = (gap.to - gap.from) / 20; // who waits for a moment only is no reason
      const there = spans.filter((span) => Math.min(span.to, gap.to) - Math.max(span.from, gap.from) > worth);
      return { ...gap, waiting: there.map((span) => span.update), text: why(gap, there, events, since) };
    })
    .reverse();
}

function why(gap, there, events, since) {
  const ids = new Set(there.map((span) => span.update.identifier));
  const inside = events.filter((event) => at(event.time) >= gap.from - 1 && at(event.time) <= gap.to);
  const started = inside.filter((event) => event.kind === "daemon_started").at(-1);
  const told = inside
    .filter((event) => EXPLAINS.includes(event.kind) && (!event.update || ids.has(event.update)))
    .map((event) => (event.kind === "daemon_stopping" ? "the daemon stopped" : event.text));
  if (started) told.push(`the daemon was not running until ${clock(new Date(started.time))}`);
  if (!there.length) return ["no update waited", ...new Set(told)].join("; ");
  const first = Math.min(...there.map((span) => span.from));
  const nobody = first - gap.from > (gap.to - gap.from) / 10 ? [`no update waited until ${moment(new Date(first).toISOString())}`] : [];
  const known = gap.from < since ? "the events of then are older than those that were read" : "no event says why";
  return [...nobody, `${counted(there.length, "update")} waited`, ...new Set(told.length ? told : [known])].join("; ");
}
