/** The daemon's events as they come: server-sent events, read by hand, for EventSource cannot send a token. */

import { Failure, request } from "./requests.js";

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 60000;
const SILENCE = 60000; // the daemon says something every 15 seconds: after this, nobody is there

/** Reads a stream of text piece by piece, as the HTML standard says (9.2.6, interpreting an event stream). Pure. */
export class EventParser {
  #rest = "";
  #first = true;
  #data = [];
  #kind = "";
  lastId = "";
  retry = null;

  /** The events that are whole with this piece: `{id, kind, data}`. */
  push(text) {
    this.#rest += text;
    if (this.#first && this.#rest) {
      this.#rest = this.#rest.replace(/^\uFEFF/, "");
      this.#first = false;
    }
    const found = [];
    const line = /([^\r\n]*)(\r\n|\n|\r(?!$))/y; // a \r at the end may be half of a \r\n
    let read = 0;
    for (let match = line.exec(this.#rest); match; match = line.exec(this.#rest)) {
      read = line.lastIndex;
      this.#line(match[1], found);
    }
    this.#rest = this.#rest.slice(read);
    return found;
  }

  #line(line, found) {
    if (line === "") {
      if (this.#data.length) found.push({ id: this.lastId, kind: this.#kind || "message", data: this.#data.join("\n") });
      this.#data = [];
      this.#kind = "";
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#kind = value;
    else if (name === "id" && !value.includes("\0")) this.lastId = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
  }
}

/** The next pause before another try, in milliseconds. Pure. */
export const longer = (pause) => Math.min(pause * 2, LONGEST_PAUSE);

function wait(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

async function* pieces(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const leave = () => reader.cancel().catch(() => {}); // it has failed already: whoever reads is told so
  try {
    for (;;) {
      const timer = setTimeout(leave, SILENCE);
      const { done, value } = await reader.read().finally(() => clearTimeout(timer));
      if (done) return;
      yield value;
    }
  } finally {
    leave();
  }
}

/**
 * Reads events until `signal` is aborted, and begins again where it ended, after a pause that grows.
 * `connected()` each time that it began; `happened(event)` for each; `lost(message, seconds)` before a pause.
 */
export async function follow(where, { connected, happened, lost, signal }) {
  let pause = FIRST_PAUSE;
  let lastId = "";
  while (!signal.aborted) {
    let why = "The connection to the daemon has ended.";
    const parser = new EventParser();
    parser.lastId = lastId;
    try {
      const response = await request(where, { accept: "text/event-stream", headers: lastId ? { "Last-Event-ID": lastId } : {}, signal });
      connected();
      for await (const text of pieces(response)) {
        pause = parser.retry ?? FIRST_PAUSE;
        for (const event of parser.push(text)) happened(JSON.parse(event.data));
        lastId = parser.lastId;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Failure) why = error.message;
      else console.warn("the stream of events broke off:", error.message);
      if (error.status === 401) return;
    }
    lost(why, Math.round(pause / 1000));
    await wait(pause * (0.75 + Math.random() / 2), signal); // not all pages at once
    pause = longer(pause);
  }
}
