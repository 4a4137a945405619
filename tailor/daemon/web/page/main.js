/** The page: which view is shown, and what it hears of the daemon. */

import { announce, make, setText } from "./element.js";
import { throttled } from "./refreshing.js";
import { Failure, path, whenRefused } from "./requests.js";
import { address, forgetToken, token } from "./session.js";
import { follow } from "./stream.js";
import { tokenForm } from "./token_form.js";
import { ModelsView, ModelView } from "./view_models.js";
import { NowView } from "./view_now.js";
import { TimelineView } from "./view_timeline.js";
import { UpdateView } from "./view_update.js";
import { UserView } from "./view_user.js";

const VIEWS = { now: NowView, models: ModelsView, model: ModelView, user: UserView, update: UpdateView, timeline: TimelineView };
const TABS = { now: "now", models: "models", model: "models", user: "models", update: "timeline", timeline: "timeline" };
const PAUSE = 1000; // between two looks, in milliseconds
const IDLE = 30000; // a look without an event: times and forecasts go on
const TOLD = ["update_begun", "update_paused", "update_resumed", "update_ended", "trouble"];

const main = document.getElementById("main");
const connection = document.getElementById("connection");
const trouble = make("p", { class: "error", role: "alert" });
let view = null;
let again = null;
let following = null;

/** Shows the view that the address asks for. `moved`: by a person, whose focus goes along. */
function show(moved) {
  const { view: name = "now", ...fields } = address();
  if (!token()) return askForToken(false);
  again?.stop();
  const known = Object.hasOwn(VIEWS, name) ? name : "now";
  const mine = throttled(() => look(shown), PAUSE);
  const shown = new VIEWS[known](fields, mine);
  [view, again] = [shown, mine];
  document.title = `${shown.title} - tailor`;
  for (const tab of Object.values(TABS)) document.getElementById(`nav-${tab}`).removeAttribute("aria-current");
  document.getElementById(`nav-${TABS[known]}`).setAttribute("aria-current", "page");
  trouble.hidden = true;
  main.replaceChildren(trouble, shown.element);
  shown.element.setAttribute("aria-busy", "true");
  if (moved) shown.element.querySelector("h1").focus();
  if (!following) listen();
  mine();
}

/** Asks for all that a view shows. What fails is said above it; what was shown stays. */
async function look(shown) {
  try {
    await shown.refresh();
    if (view === shown) trouble.hidden = true;
  } catch (error) {
    if (view !== shown || error.status === 401) return;
    if (!(error instanceof Failure)) console.error(error);
    setText(trouble, error instanceof Failure ? error.message : `This page has failed: ${error.message}`);
    trouble.hidden = false;
  } finally {
    shown.element.removeAttribute("aria-busy");
  }
}

function askForToken(refused) {
  following?.abort();
  again?.stop();
  following = view = again = null;
  say("", "Not connected");
  document.title = "Token - tailor";
  const form = tokenForm(refused, () => show(true));
  main.replaceChildren(form);
  form.querySelector("input").focus();
}

function say(kind, text) {
  connection.className = `connection ${kind}`;
  setText(connection, text);
}

function listen() {
  following = new AbortController();
  const { signal } = following;
  const timer = setInterval(() => document.hidden || again?.(), IDLE);
  signal.addEventListener("abort", () => clearInterval(timer));
  follow(path("events"), {
    signal,
    connected: () => {
      say("live", "Live");
      again?.();
    },
    happened: (event) => {
      if (TOLD.includes(event.kind)) announce([event.model, event.user, event.text].filter(Boolean).join(", "));
      view?.happened(event);
    },
    lost: (why, seconds) => say("lost", `Connection lost, next try in ${seconds} s. ${why}`),
  });
}

whenRefused(() => {
  forgetToken();
  askForToken(true);
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
window.addEventListener("hashchange", () => show(true));
setText(document.getElementById("zone"), `Times are those of ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`);
show(false);
