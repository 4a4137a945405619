/** Asks for the token, where there is none or it was refused. */

import { make } from "./element.js";
import { keepToken } from "./session.js";

export function tokenForm(refused, then) {
  const input = make("input", {
    id: "token",
    name: "token",
    type: "password",
    autocomplete: "off",
    required: true,
    "aria-describedby": "about-token",
  });
  const given = (event) => {
    event.preventDefault();
    keepToken(input.value);
    then();
  };
  return make(
    "form",
    { class: "token", submit: given },
    make("h1", { tabindex: -1 }, "The daemon's token"),
    refused ? make("p", { class: "error", role: "alert" }, "That token was refused.") : null,
    make(
      "p",
      { id: "about-token" },
      "The daemon keeps two, as files in its state folder: ",
      make("code", {}, "token-read"),
      " shows everything, ",
      make("code", {}, "token"),
      " may change things, too. It stays in this tab, and is forgotten with it.",
    ),
    make("p", { class: "filter" }, make("label", { for: "token" }, "Token"), input, make("button", {}, "Show")),
  );
}
