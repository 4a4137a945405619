/** Numbers, times and states as people read them. Pure. */

const grouped = new Intl.NumberFormat("en");

export const FINAL = ["completed", "refused", "failed", "cancelled"];
export const ACTIVE = ["running", "committing", "paused"];
export const PROGRESS = "update_progress"; // the kind of events that are drawn at once, and not kept

const REASONS = { examples: "enough new examples", interval: "its interval was over", command: "somebody asked for it" };

/** 10,000 */
export const count = (value) => grouped.format(value);

/** 1 example, 2 examples */
export const counted = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** What made an update. */
export const reason = (kind) => REASONS[kind] ?? kind;

/** set_aside: set aside */
export const words = (name) => name.replaceAll("_", " ");

/** Four digits that count: 0.03125, 12.5, 1.2e-7. No number: "not a number". */
export function number(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "not a number";
  const size = Math.abs(value);
  if (value === 0) return "0";
  return size < 1e-3 || size >= 1e6 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** 940 B, 12.3 MB: thousands, as disks are sold. */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let place = 0;
  let value = bytes;
  while (value >= 999.95 && place < units.length - 1) {
    value /= 1000;
    place += 1;
  }
  return `${place ? value.toFixed(1) : value} ${units[place]}`;
}

/** 0.4 s, 12 s, 3 min 20 s, 2 h 5 min, 3 days 4 h. */
export function duration(seconds) {
  const less = Math.max(0, seconds);
  if (less < 9.95) return `${less.toFixed(1)} s`;
  const whole = Math.round(less);
  const [days, hours, minutes, rest] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  const pair = (large, unit, small, other) => (small ? `${large} ${unit} ${small} ${other}` : `${large} ${unit}`);
  if (days) return pair(days, days === 1 ? "day" : "days", hours, "h");
  if (hours) return pair(hours, "h", minutes, "min");
  if (minutes) return pair(minutes, "min", rest, "s");
  return `${rest} s`;
}

const two = (value) => String(value).padStart(2, "0");

/** 14:05:09, local. */
export function clock(date, seconds = true) {
  return `${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ""}`;
}

/** 2026-11-22, local. */
export function day(date) {
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** 2026-11-22 14:05:09, local; nothing for no time. */
export function moment(iso) {
  if (!iso) return "";
  const date = new Date(iso);
  return `${day(date)} ${clock(date)}`;
}

/** A version's or update's identifier, as far as people need it. */
export const short = (identifier) => (identifier ? identifier.slice(0, 12) : "");

/** How many epochs an update has learned: `epoch` is the last that ended, counted from 0. */
export const epochsOf = ({ epoch }) => (epoch === null || epoch === undefined ? 0 : epoch + 1);

/** How many epochs lie between two of the losses that are kept: the daemon halves them whenever there would be more than 1,000. */
export const strideOf = ({ epoch }) => 2 ** Math.ceil(Math.log2(Math.floor((epoch ?? 0) / 1000) + 1));

/** How far an update is: "3 of 10 epochs learned"; `epochs` 0: nobody knows of how many. */
export function progressText({ state }, done, epochs) {
  const learned = `${epochs ? `${count(done)} of ${count(epochs)}` : count(done)} ${(epochs || done) === 1 ? "epoch" : "epochs"} learned`;
  return state === "committing" ? `${learned}; the new version is being kept` : learned;
}

/** Text that stands alone, with a capital in front. */
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** The reasons of a `why`, which its sentence repeats; that sentence where it has none. */
export const reasonsOf = ({ text, reasons }) => (reasons.length ? reasons.map((one) => one.text) : [text]);

/** When an update will begin and end, as far as the daemon can tell. */
export function forecastText({ begin, end, unknown }) {
  const told = ([likely, soonest, latest]) =>
    latest <= 0 ? "now" : `in about ${duration(likely)} (${duration(soonest)} to ${duration(latest)})`;
  const parts = [begin && begin[2] > 0 ? `begins ${told(begin)}` : "", end ? `ends ${told(end)}` : ""].filter(Boolean);
  if (!parts.length) return "Forecast: not known yet";
  return `Forecast: ${parts.join(", ")}${unknown.length ? `; not known: ${unknown.join("; ")}` : ""}`;
}
