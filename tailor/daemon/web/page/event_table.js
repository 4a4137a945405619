/** Events as a table, the newest first. */

import { make, timeOf } from "./element.js";
import { fragment } from "./session.js";
import { Table } from "./tables.js";
import { moment, short, words } from "./words.js";

export const eventTable = (caption) => new Table(caption, [["When"], ["Kind"], ["What happened", "text"], ["Of"]], "No events.");

/** Rows of the table, from events in any order. */
export function eventRows(events) {
  return [...events]
    .sort((a, b) => b.sequence - a.sequence)
    .map((event) => ({
      key: event.sequence,
      cells: [timeOf(event.time, moment(event.time)), words(event.kind), event.text, subject(event)],
    }));
}

function subject({ model, user, update }) {
  if (update)
    return make("a", { href: fragment("update", { update }) }, model && user ? `${model}, user ${user}` : `update ${short(update)}`);
  if (model && user) return make("a", { href: fragment("user", { model, user }) }, `${model}, user ${user}`);
  return model ? make("a", { href: fragment("model", { model }) }, model) : "";
}
