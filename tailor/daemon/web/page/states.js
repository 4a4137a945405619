/** How the state of an update looks: a word in a frame whose shape and colour say the same again. */

import { draw, make, setText } from "./element.js";

const MARKS = {
  waiting: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M8 5v3.4l2.3 1.4",
  running: "M5 3l8 5l-8 5z",
  paused: "M5.5 3v10M10.5 3v10",
  committing: "M8 2.5v7M4.8 6.6L8 9.8l3.2-3.2M3 13h10",
  completed: "M3 8.5l3.5 3.5l6.5-8",
  refused: "M3 8a5 5 0 1 0 5-5H4.5M7 .8L4.4 3L7 5.2",
  failed: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  cancelled: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M4.2 11.8l7.6-7.6",
};
export const STATES = Object.keys(MARKS);

/** The mark of a state, for drawings: 16 units wide and high. */
export const mark = (state, attributes = {}) => draw("path", { class: `mark ${state}`, d: MARKS[state] ?? "M3 8h10", ...attributes });

/** A badge; `setBadge` changes it. */
export function badge(state) {
  const node = make("span", {}, draw("svg", { viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true" }), make("span"));
  setBadge(node, state);
  return node;
}

export function setBadge(node, state) {
  if (node.dataset.state === state) return;
  node.dataset.state = state;
  node.className = `badge ${state}`;
  node.firstChild.replaceChildren(mark(state));
  setText(node.lastChild, state);
}
