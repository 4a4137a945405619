/** One update, as it goes: state, progress, losses, why it is where it is, and when it will end. */

import { Deeds } from "./confirm.js";
import { facts, make, setChildren, setText } from "./element.js";
import { LineChart } from "./line_chart.js";
import { ask, path } from "./requests.js";
import { fragment } from "./session.js";
import { badge, setBadge } from "./states.js";
import {
  count,
  counted,
  epochsOf,
  FINAL,
  forecastText,
  moment,
  number,
  progressText,
  reason,
  reasonsOf,
  sentence,
  short,
  strideOf,
} from "./words.js";

/** `level`: of its heading. `after`: called once something was done with it. */
export class UpdateCard {
  #badge = badge("waiting");
  #progress = make("progress", { max: 1, value: 0 });
  #progressText = make("p", { class: "progress-text" });
  #loss = make("p", { class: "loss" });
  #why = make("div", { class: "why" });
  #forecast = make("p", { class: "forecast" });
  #facts = make("div");
  #chart = new LineChart({ across: "epochs", up: "loss (mean)", columns: ["After epoch", "Loss (mean)"] });
  #default = null; // epochs, where the update names none: those of its model
  #live = new Map(); // losses that were told since, by epoch

  constructor(update, level, after) {
    this.identifier = update.identifier;
    const name = `${update.model}, user ${update.user}`;
    const heading = `update-${update.identifier}`;
    this.deeds = new Deeds(`update of ${name}`, after);
    this.#progress.setAttribute("aria-label", `Progress of the update of ${name}`);
    this.element = make(
      "article",
      { class: "card", "aria-labelledby": heading },
      make(
        "header",
        {},
        make(level, { id: heading }, make("a", { href: fragment("update", { update: update.identifier }) }, name)),
        this.#badge,
      ),
      this.#progress,
      this.#progressText,
      this.#loss,
      this.#chart.element,
      this.#why,
      this.#forecast,
      this.#facts,
      this.deeds.element,
    );
    this.show(update);
  }

  /** What the daemon tells of it. */
  show(update) {
    this.update = update;
    for (const epoch of this.#live.keys()) if (epoch < epochsOf(update)) this.#live.delete(epoch);
    setBadge(this.#badge, update.state);
    this.#showProgress();
    this.#showLosses();
    setChildren(this.#facts, [facts(rows(update))]);
    this.deeds.show(deeds(update));
  }

  /** An event of its progress: an `epoch` has ended, with a mean `loss` where there is one. The daemon keeps it a little later. */
  progress({ epoch, loss }) {
    this.#live.set(epoch, loss);
    this.#showProgress();
    this.#showLosses();
  }

  /** Asks why it is where it is, and when it will end. An update that has ended needs neither. */
  async explain() {
    if (FINAL.includes(this.update.state)) {
      setChildren(this.#why, []);
      setText(this.#forecast, "");
      return;
    }
    const [why, forecast] = await Promise.all(["why", "forecast"].map((what) => ask(path("updates", this.identifier, what))));
    setChildren(this.#why, whyOf(why));
    setText(this.#forecast, forecastText(forecast));
    if (this.#default === null && !this.update.parameters.epochs) {
      const { parameters } = await ask(path("models", this.update.model)); // "500: one of 500"
      this.#default = Number.parseInt(parameters.epochs, 10) || 0;
      this.#showProgress();
      this.#showLosses();
    }
  }

  /** How many epochs it is to learn; 0: not known. */
  #epochs() {
    return Number(this.update.parameters.epochs) || this.#default || 0;
  }

  #showProgress() {
    const epochs = this.#epochs();
    const done = Math.max(epochsOf(this.update), ...[...this.#live.keys()].map((epoch) => epoch + 1));
    setText(this.#progressText, progressText(this.update, done, epochs));
    this.#progress.hidden = FINAL.includes(this.update.state) || !(epochs > 0);
    if (epochs > 0) this.#progress.value = Math.min(1, done / epochs);
  }

  #showLosses() {
    const points = pointsOf(this.update, this.#live);
    this.#chart.element.hidden = this.#loss.hidden = !points.length;
    if (!points.length) return;
    const [first, last] = [points[0], points.at(-1)];
    const began = points.length > 1 ? `, ${number(first[1])} after the first` : "";
    const words = `loss ${number(last[1])} after epoch ${count(last[0])}${began}`;
    setText(this.#loss, sentence(words));
    this.#chart.show({
      points,
      from: 0,
      to: FINAL.includes(this.update.state) ? last[0] : Math.max(last[0], this.#epochs()),
      low: 0,
      words: `Chart of the loss over epochs: ${words}`,
      rows: points.map(([epoch, loss]) => [count(epoch), number(loss)]),
    });
  }
}

/** What is drawn: [epochs learned, loss], of those that the daemon keeps, and behind them of those that it told since. Pure. */
export function pointsOf(update, live) {
  const stride = strideOf(update);
  const kept = update.losses.map((loss, place) => [place * stride + 1, loss]);
  const behind = [...live].filter(([epoch]) => epoch + 1 > (kept.at(-1)?.[0] ?? 0)).sort(([a], [b]) => a - b);
  return [...kept, ...behind.map(([epoch, loss]) => [epoch + 1, loss])];
}

/** What `why` says, as elements. */
export function whyOf(why) {
  const reasons = reasonsOf(why).map(sentence);
  return [
    reasons.length === 1
      ? make("p", {}, reasons[0])
      : make(
          "ul",
          {},
          reasons.map((text) => make("li", {}, text)),
        ),
  ];
}

function rows(update) {
  const parameters = Object.entries(update.parameters).map(([name, value]) => `${name} ${value}`);
  return [
    ["Why it was made", reason(update.reason)],
    ["Learns", counted(update.examples, "example")],
    ["Made", moment(update.made_at)],
    update.begun_at ? ["Begun", moment(update.begun_at)] : null,
    update.ended_at ? ["Ended", moment(update.ended_at)] : null,
    ["Onto", update.onto ? short(update.onto) : "the model as it was registered"],
    update.version ? ["Made version", short(update.version)] : null,
    parameters.length ? ["Parameters", parameters.join(", ")] : null,
    update.verdict ? ["Guard", String(update.verdict.reason ?? (update.verdict.accepted ? "accepted" : "refused"))] : null,
    update.error ? ["Error", update.error] : null,
  ].filter(Boolean);
}

function deeds({ identifier, state, model, user }) {
  const of = `the update of ${model} for ${user}`;
  const deed = (name, question, done) => ({
    name,
    question,
    done,
    yes: `${name} the update`,
    where: path("updates", identifier, name.toLowerCase()),
  });
  const pause = deed("Pause", `Pause ${of}? It goes on where it stands once it is resumed.`, `Paused: ${of}.`);
  const resume = deed("Resume", `Resume ${of}?`, `Resumed: ${of}.`);
  const cancel = deed("Cancel", `Cancel ${of}? What it has learned is lost; its examples are set aside.`, `Cancelled: ${of}.`);
  return { waiting: [pause, cancel], running: [pause, cancel], paused: [resume, cancel] }[state] ?? [];
}
