"""The page in a browser: it shows what the API tells, and does what it is told to, after asking."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias
from urllib.parse import quote

import pytest

from tailor import MLBusyError

from .busy import busy, empty
from .conftest import FULL, READ, Site
from .told import HOSTILE, ToldDaemon, identifier, update_record

MakeSite: TypeAlias = Callable[[Callable[[], ToldDaemon]], Site]
VIEWS = {
    "now": "view=now",
    "models": "view=models",
    "model": "view=model&model=Keyboard",
    "user": "view=user&model=Stickers&user=ana",
    "update": f"view=update&update={identifier(90)}",
    "timeline": "view=timeline",
}


def rows(site: Site, caption: str) -> list[list[str]]:
    """The cells of the table whose caption begins so."""
    table = f"[...document.querySelectorAll('table')].find((one) => one.caption.textContent.startsWith({json.dumps(caption)}))"
    cells = "(row) => [...row.cells].map((cell) => cell.innerText.replace(/\\s+/g, ' ').trim())"
    found: list[list[str]] = site.tab.evaluate(f"[...{table}.tBodies[0].rows].map({cells})")
    return found


def local(moment: Any) -> str:
    """A time as the page tells it; the browser of these tests lives in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def test_now_is_what_the_daemon_tells(site: MakeSite) -> None:
    shown = site(busy)
    shown.open()
    facts = dict(zip(shown.tab.text("section:first-of-type dt"), shown.tab.text("section:first-of-type dd"), strict=True))
    assert facts["Updates under way"] == "30 waiting, 1 running, 1 paused, 1 committing"
    assert (facts["Users"], facts["Examples that wait"], facts["Models"]) == ("10,003", "13", "3, 2 in memory")
    assert (facts["Memory"], facts["Version"], facts["Settings"]) == ("131.1 MB", "0.1.0, process 4242", "defaults, no file")
    assert shown.tab.text(".card h3") == ["Stickers, user ana", "Keyboard, user user-00401", "Keyboard, user user-00400"]
    assert shown.tab.text(".card .badge") == ["running", "committing", "paused"]
    assert shown.tab.text(".card .progress-text")[0] == "4 of 10 epochs learned"
    assert shown.tab.text(".card .loss")[0] == "Loss 0.36 after epoch 4, 0.92 after the first"
    assert shown.tab.text(".card .forecast")[0] == "Forecast: ends in about 2 min (1 min to 4 min)"
    waiting = rows(shown, "The newest 20 of 30")
    told = [update for update in shown.daemon.updates_told if update.state == "waiting"][:20]
    why = "The machine is not on external power; the lane has room for 1, and 1 is at work"
    assert waiting == [[f"{one.model}, user {one.user}", "enough new examples", local(one.made_at), why] for one in told]
    assert rows(shown, "Lanes") == [["workers", "1", "1"], ["processes", "1", "2"]]
    assert [row[2] for row in rows(shown, "Last sync")] == ["done", "failed"]


def test_the_drawn_curve_goes_through_the_losses(site: MakeSite) -> None:
    """The dots' heights are in the proportions of the losses, and the axis is named and numbered."""
    shown = site(busy)
    shown.open(VIEWS["update"])
    heights = shown.tab.evaluate("[...document.querySelectorAll('.card circle')].map((dot) => Number(dot.getAttribute('cy')))")
    losses = [0.92, 0.61, 0.44, 0.36]
    falls = [(low - heights[0]) / (losses[0] - loss) for low, loss in zip(heights[1:], losses[1:], strict=True)]
    assert falls == pytest.approx([falls[0]] * 3)
    assert falls[0] > 0
    words = shown.tab.evaluate("document.querySelector('.card svg.chart').getAttribute('aria-label')")
    assert words == "Chart of the loss over epochs: loss 0.36 after epoch 4, 0.92 after the first"
    assert shown.tab.text(".card svg .axis-name") == ["epochs", "loss (mean)"]
    shown.tab.evaluate("document.querySelector('details').open = true")
    assert rows(shown, "The numbers of the chart") == [["1", "0.92"], ["2", "0.61"], ["3", "0.44"], ["4", "0.36"]]


def test_events_change_what_is_shown(site: MakeSite) -> None:
    shown = site(busy)
    shown.open()
    of = {"model": "Stickers", "user": "ana", "update": identifier(90)}
    shown.tell("update_progress", "epoch 5 is over", kept=False, **of, detail={"epoch": 4, "loss": 0.3125})
    shown.tab.until("document.querySelector('.card .loss').textContent.startsWith('Loss 0.3125 after epoch 5')")
    assert shown.tab.text(".card .progress-text")[0] == "5 of 10 epochs learned"
    assert shown.tab.text("#announcements") == [""]  # not for each epoch
    shown.daemon.change(90, state="completed")
    shown.tell("update_ended", "completed: version 3fa94c", **of, detail={"state": "completed"})
    shown.tab.until("document.querySelectorAll('.card').length === 2")
    assert shown.tab.text("#announcements") == ["Stickers, ana, completed: version 3fa94c"]
    assert "0 running" not in shown.tab.text("dd")[1]


def test_a_lost_connection_is_said_and_taken_up_where_it_ended(site: MakeSite) -> None:
    shown = site(busy)
    shown.open(VIEWS["timeline"])
    shown.tell("trouble", "the first")
    shown.tab.until("document.querySelector('tbody').closest('main').textContent.includes('the first')")
    shown.tab.evaluate("window.states = []; new MutationObserver(() => states.push(document.getElementById('connection').className))"
                       ".observe(document.getElementById('connection'), {attributes: true})")  # fmt: skip
    shown.drop()
    shown.tab.until("states.at(-1) === 'connection live' && states.includes('connection lost')")
    assert shown.daemon.followed[0] is None
    assert shown.daemon.followed[-1] == len(shown.daemon.log)  # behind the last that it heard of
    shown.tell("trouble", "the second")
    shown.tab.until("document.querySelector('main').textContent.includes('the second')")


def test_a_daemon_that_refuses_is_quoted(site: MakeSite) -> None:
    shown = site(busy)
    shown.open()
    shown.daemon.failing = MLBusyError(f"ledger: expected room, got none {HOSTILE}")
    shown.tell("trouble", "look again")
    shown.tab.until("!document.querySelector('main > .error').hidden")
    assert shown.tab.text("main > .error") == [f"ledger: expected room, got none {HOSTILE}"]
    assert shown.tab.text(".card h3") != []  # what was known stays
    shown.daemon.failing = None
    shown.tell("trouble", "and again")
    shown.tab.until("document.querySelector('main > .error').hidden")
    assert all("503" in error for error in shown.tab.errors())


@pytest.mark.parametrize("given", ["", "not-the-token"])
def test_a_token_is_asked_for(site: MakeSite, given: str) -> None:
    shown = site(busy)
    shown.tab.open(f"{shown.origin}/#{'token=' + given + '&' if given else ''}view=models")
    shown.tab.until("document.querySelector('form.token')")
    shown.tab.until(f"!!document.querySelector('form .error') === {'true' if given else 'false'}")
    assert shown.tab.evaluate("sessionStorage.length") == 0
    assert shown.tab.focused() == ""  # the field itself
    shown.tab.press(FULL)
    shown.tab.press("Enter")
    shown.settled()
    assert shown.tab.text("h1") == ["Models and users"]
    assert all("401" in error for error in shown.tab.errors())


def test_a_late_refusal_of_another_token_leaves_the_form_and_what_is_typed(site: MakeSite) -> None:
    shown = site(busy)
    shown.tab.open(f"{shown.origin}/#view=models")
    shown.tab.until("document.querySelector('form.token')")
    shown.tab.press("half")
    said = shown.tab.evaluate(
        "import('/requests.js').then(({request}) => { sessionStorage.setItem('tailor-token', 'old'); const late = request('/v1/status');"
        " sessionStorage.removeItem('tailor-token'); return late; }).catch((error) => error.status)"
    )
    assert (said, shown.tab.evaluate("document.querySelector('#token').value")) == (401, "half")
    said = shown.tab.evaluate("import('/requests.js').then(({request}) => request('/v1/status')).catch((error) => error.status)")
    assert (said, shown.tab.evaluate("document.querySelector('#token').value")) == (401, "half")  # nor does one without any
    said = shown.tab.evaluate(
        "import('/requests.js').then(({request}) => { sessionStorage.setItem('tailor-token', 'old'); const late = request('/v1/status');"
        " sessionStorage.setItem('tailor-token', 'new'); return late; }).catch((error) => error.status)"
    )
    assert (said, shown.tab.evaluate("sessionStorage.getItem('tailor-token')")) == (401, "new")
    assert all("401" in error for error in shown.tab.errors())


def test_the_token_leaves_the_address_and_its_history(site: MakeSite) -> None:
    shown = site(busy)
    shown.open("view=models")
    assert shown.tab.evaluate("location.hash") == "#view=models"
    history = shown.tab.ask("Page.getNavigationHistory")["entries"]
    assert [entry["url"] for entry in history if FULL in entry["url"]] == []
    assert shown.tab.evaluate("Object.values(sessionStorage)") == [FULL]
    assert shown.tab.evaluate("localStorage.length + document.cookie.length") == 0
    asked = shown.tab.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
    assert asked != []
    assert [url for url in asked if FULL in url or not url.startswith(shown.origin)] == []


def test_looking_only_offers_nothing_to_do(site: MakeSite) -> None:
    shown = site(busy)
    shown.open(token=READ)
    for view in ("now", "user", "update"):
        shown.go(f"#{VIEWS[view]}&again=1")
        assert shown.tab.text(".deeds button") == [], view
    shown.open(VIEWS["user"])
    assert shown.tab.text(".deeds button") == ["Update now", "Try again", *7 * ["Roll back"]]


def tab_to(site: Site, name: str) -> None:
    """Goes on with the keyboard alone until ``name`` has the focus."""
    for _ in range(80):
        site.tab.press("Tab")
        if site.tab.focused() == name:
            return
    raise AssertionError(f"the keyboard does not reach {name!r}")


def test_everything_is_done_by_keyboard(site: MakeSite) -> None:
    shown = site(busy)
    shown.open()
    tab_to(shown, "Pause: update of Stickers, user ana")
    shown.tab.press("Enter")
    assert shown.tab.text("dialog p") == ["Pause the update of Stickers for ana? It goes on where it stands once it is resumed."]
    assert shown.tab.focused() == "Leave it"
    shown.tab.press("Escape")
    shown.tab.until("!document.querySelector('dialog')")
    assert shown.daemon.done == []
    assert shown.tab.focused() == "Pause: update of Stickers, user ana"
    shown.tab.press("Enter")
    shown.tab.press("Tab")
    assert shown.tab.focused() == "Pause the update"
    shown.tab.press("Enter")
    shown.tab.until("document.querySelector('.card .badge').dataset.state === 'paused'")
    assert shown.daemon.done == [("pause", identifier(90))]
    assert shown.tab.text("#announcements") == ["Paused: the update of Stickers for ana."]
    shown.tab.evaluate("document.activeElement.blur()")
    tab_to(shown, "Timeline")
    shown.tab.press("Enter")
    shown.settled()
    assert shown.tab.focused() == "Timeline"  # the heading of what came
    assert shown.tab.evaluate("document.activeElement.tagName") == "H1"


@pytest.mark.parametrize(
    ("view", "button", "done"),
    [
        ("update", "Cancel: update of Stickers, user ana", ("cancel", identifier(90))),
        ("now", "Resume: update of Keyboard, user user-00400", ("resume", identifier(89))),
        ("user", "Update now: user ana of Stickers", ("update", "Stickers", "ana", False)),
        ("user", "Try again: user ana of Stickers", ("update", "Stickers", "ana", True)),
    ],
)
def test_what_is_confirmed_is_done(site: MakeSite, view: str, button: str, done: tuple[Any, ...]) -> None:
    shown = site(busy)
    shown.open(VIEWS[view])
    shown.tab.evaluate(f"document.querySelector('[aria-label={json.dumps(button)}]').click()")
    shown.tab.evaluate("document.querySelector('dialog .deed').click()")
    shown.tab.until("document.getElementById('announcements').textContent")
    assert shown.daemon.done == [done]


def test_a_deed_that_fails_is_said_beside_it(site: MakeSite) -> None:
    shown = site(busy)
    shown.open(VIEWS["user"])
    older = shown.daemon.versions[1].identifier
    shown.tab.evaluate("document.querySelector('table .deeds button').click()")
    shown.tab.evaluate("document.querySelector('dialog .deed').click()")
    shown.tab.until("document.querySelector('table .deeds .error:not([hidden])')")
    assert shown.daemon.done == [("rollback", "Stickers", "ana", older)]
    assert shown.tab.text("table .deeds .error") == [f"Roll back: ana: expected no open update, got one {HOSTILE}"]
    assert all("409" in error for error in shown.tab.errors())


def test_ten_thousand_users_come_in_pages(site: MakeSite) -> None:
    shown = site(busy)
    shown.open(VIEWS["model"])
    names = shown.daemon.names["Keyboard"]
    first = rows(shown, "Users")
    assert [row[0] for row in first] == names[:50]
    told = f"the last version cannot be told: {HOSTILE}; an update"
    assert [row[0] for row in first if row[4] == "trouble" and told in row[5]] == names[1:2]
    shown.moved("[...document.querySelectorAll('.pages a')].find((link) => link.textContent === 'Next page').click()")
    assert [row[0] for row in rows(shown, "Users")] == names[50:100]
    for prefix, expected in (("user-0999", names[9990:]), ("user-00017", ["user-00017"]), ("nobody", []), ("user-09", names[9000:9050])):
        shown.tab.evaluate(
            f"document.getElementById('prefix').value = {json.dumps(prefix)}; document.querySelector('.filter button').click()"
        )
        shown.tab.until(f"document.getElementById('prefix').value === {json.dumps(prefix)} && !document.querySelector('[aria-busy]')")
        assert [row[0] for row in rows(shown, "Users")] == expected, prefix
    assert max(shown.daemon.most_asked) <= 1000


def test_a_user_is_what_the_daemon_tells(site: MakeSite) -> None:
    shown = site(busy)
    shown.open(VIEWS["user"])
    assert [row[1] for row in rows(shown, "Examples by state")] == ["4", "0", "48", "3"]
    versions = rows(shown, "Versions")
    assert len(versions) == 8
    assert versions[0][2] == "accepted: accuracy 0.9 before, 0.95 after (held out, 20 examples)"
    assert [row[0].endswith("(in use)") for row in versions] == [True] + 7 * [False]
    assert shown.tab.evaluate("document.querySelectorAll('.figure circle').length") == 8
    of_ana = [update for update in shown.daemon.updates_told if update.user == "ana"]
    assert [row[:2] for row in rows(shown, "Updates")] == [[one.identifier[:12], one.state] for one in of_ana][:20]


def test_the_timeline_is_what_the_daemon_tells(site: MakeSite) -> None:
    shown = site(busy)
    shown.open("view=timeline&range=604800")
    states = [update.state for update in shown.daemon.updates_told]
    bars = shown.tab.evaluate("[...document.querySelectorAll('.timeline .bar')].map((bar) => bar.classList[1])")
    for state in ("completed", "refused", "failed", "running", "paused", "committing"):
        assert bars.count(state) == states.count(state) + (state == "completed"), state  # one ran twice, for its budget was used up
    assert shown.tab.text(".timeline text.tick")[-1] == "30 updates waiting"
    gap = next(row for row in rows(shown, "When nothing ran") if "daemon" in row[2])
    assert "the daemon stopped; the daemon was not running until" in gap[2]
    events = rows(shown, "Events")
    assert [row[2] for row in events] == [event.text for event in reversed(shown.daemon.log[-50:])]
    shown.go("#view=timeline&kind=update_ended")
    ended = [event.text for event in reversed(shown.daemon.log) if event.kind == "update_ended"]
    assert [row[2] for row in rows(shown, "Events")] == ended
    shown.go("#view=timeline")
    shown.moved("[...document.querySelectorAll('.pages a')].find((link) => link.textContent === 'Older').click()")
    assert [row[2] for row in rows(shown, "Events")] == [event.text for event in reversed(shown.daemon.log[-100:-50])]


def test_hostile_names_do_nothing(site: MakeSite) -> None:
    def hostile() -> ToldDaemon:
        daemon = busy()
        daemon.add_model(HOSTILE, [HOSTILE], kind=HOSTILE, inputs={HOSTILE: HOSTILE})
        daemon.names["Keyboard"].insert(0, HOSTILE)
        daemon.change(
            90, error=HOSTILE, parameters={HOSTILE: HOSTILE}, verdict={"accepted": False, "reason": HOSTILE, "sets": {HOSTILE: {}}}
        )
        daemon.change(88, model=HOSTILE, user=HOSTILE, parameters={"epochs": 10})
        daemon.why_texts = [HOSTILE]
        daemon.keep("trouble", HOSTILE, model=HOSTILE, user=HOSTILE, update=identifier(90))
        daemon.keep(HOSTILE, HOSTILE, model=HOSTILE)
        return daemon

    shown = site(hostile)
    shown.open()
    for view in (*VIEWS.values(), f"view=timeline&kind={quote(HOSTILE)}"):
        shown.go(f"#{view}&again=1")
        assert HOSTILE in " ".join(shown.tab.text("main")), view
        assert shown.tab.evaluate("document.querySelectorAll('img, main script').length") == 0
        assert shown.tab.evaluate("document.title") != "taken"


def test_the_policy_holds(site: MakeSite) -> None:
    shown = site(empty)
    shown.open()
    refused = shown.tab.evaluate(
        "(() => { try { document.body.innerHTML = '<b>x</b>'; return ''; } catch (error) { return error.name; } })()"
    )
    assert refused == "TypeError"
    style = "Object.assign(document.createElement('style'), {textContent: 'body { display: none }'})"
    shown.tab.evaluate(f"document.head.append({style})")
    assert shown.tab.evaluate("getComputedStyle(document.body).display") == "block"
    other = shown.origin.replace("127.0.0.1", "localhost")
    assert shown.tab.evaluate(f"fetch({json.dumps(other + '/v1/health')}).then(() => 'answered', (error) => error.name)") == "TypeError"
    assert len(shown.tab.errors()) >= 3


def test_an_empty_daemon_says_so(site: MakeSite) -> None:
    shown = site(empty)
    expected = {
        "view=now": ["No update is at work.", "No update waits.", "Nothing is synced."],
        "view=models": ["No model is registered. tailor daemon register FILE does so."],
        "view=timeline": ["No events."],
    }
    shown.open("view=timeline&range=600")
    for view, words in expected.items():
        shown.go(f"#{view}")
        assert shown.tab.text(".none") == words


def test_a_view_that_is_not_there(site: MakeSite) -> None:
    shown = site(busy)
    shown.open("view=nothing")
    assert shown.tab.text("h1") == ["Now"]
    shown.go("#view=constructor")
    assert shown.tab.text("h1") == ["Now"]
    shown.go("#view=timeline&range=constructor")
    assert shown.tab.evaluate("document.getElementById('range').value") == "86400"
    shown.tab.evaluate(f"location.hash = 'view=update&update={identifier(999)}'")
    shown.tab.until("!document.querySelector('main > .error').hidden")
    assert shown.tab.text("main > .error") == [f"updates: expected the identifier of an update, got '{identifier(999)}'"]
    assert all("404" in error for error in shown.tab.errors())


def test_an_update_that_learns_for_thousands_of_epochs(site: MakeSite) -> None:
    """The daemon keeps every fourth loss by then; a loss that is no number leaves a gap."""

    def long() -> ToldDaemon:
        daemon = ToldDaemon()
        losses = [1.0 if place != 7 else float("nan") for place in range(600)]
        daemon.updates_told = [
            update_record(90, state="running", epoch=2399, losses=losses, parameters={"epochs": 4000}, made_at=daemon.started)
        ]
        return daemon

    shown = site(long)
    shown.open()
    assert shown.tab.text(".progress-text") == ["2,400 of 4,000 epochs learned"]
    assert shown.tab.text(".loss") == ["Loss 1 after epoch 2,397, 1 after the first"]
    line = shown.tab.evaluate("document.querySelector('.card path.line').getAttribute('d')")
    assert (line.count("M"), line.count("L")) == (2, 597)
    assert shown.tab.evaluate("document.querySelectorAll('.card circle').length") == 0


def test_the_page_fits_a_small_window(site: MakeSite) -> None:
    """320 CSS pixels, as a window of 1280 has at 400 % (WCAG 2.2, 1.4.10); 640, as at 200 %. Tables may be scrolled, the page not."""
    shown = site(busy)
    shown.open()
    heights = (
        "[...document.querySelectorAll('button, input, select')].filter((one) => one.checkVisibility()).map((one) => one.offsetHeight)"
    )
    for view in VIEWS.values():
        shown.go(f"#{view}&again=1")
        for width in (320, 640):
            shown.tab.resize(width, 800)
            assert shown.tab.evaluate("document.documentElement.scrollWidth") <= width, (view, width)
            assert all(height >= 24 for height in shown.tab.evaluate(heights)), view  # WCAG 2.2, 2.5.8


NAMED = {
    *("link", "button", "textbox", "searchbox", "combobox", "image", "table", "region", "article", "progressbar", "navigation", "heading")
}
STRUCTURE = """(() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    const ids = all("[id]").map((one) => one.id);
    return {
        levels: all("h1, h2, h3").filter((one) => one.checkVisibility()).map((one) => Number(one.tagName[1])),
        plain: all("table").filter((one) => !one.caption || [...one.querySelectorAll("th")].some((head) => !head.scope)).length,
        twice: ids.length - new Set(ids).size,
        nowhere: all("[aria-labelledby]").filter((one) => !document.getElementById(one.getAttribute("aria-labelledby"))).length,
    };
})()"""


def test_everything_has_a_name_and_a_place(site: MakeSite) -> None:
    """As somebody hears it who does not see it: by the browser's own accessibility tree."""
    shown = site(busy)
    shown.open()
    for view in VIEWS.values():
        shown.go(f"#{view}&again=1")
        nodes = [node for node in shown.tab.ask("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
        roles = [node["role"]["value"] for node in nodes]
        assert sorted(role for role in roles if role in ("main", "banner", "contentinfo")) == ["banner", "contentinfo", "main"], view
        nameless = [
            node for role, node in zip(roles, nodes, strict=True) if role in NAMED and not node.get("name", {}).get("value", "").strip()
        ]
        assert nameless == [], view
        structure = shown.tab.evaluate(STRUCTURE)
        levels = structure.pop("levels")
        assert (levels[0], levels.count(1)) == (1, 1), view
        assert all(below - above <= 1 for above, below in pairwise(levels)), view
        assert structure == {"plain": 0, "twice": 0, "nowhere": 0}, view


def test_focus_is_seen(site: MakeSite) -> None:
    shown = site(busy)
    for scheme in ("light", "dark"):
        shown.tab.scheme(scheme)
        shown.open("view=models")
        shown.tab.press("Tab")
        assert shown.tab.focused() == "Skip to the content"
        assert shown.tab.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
        shown.tab.press("Tab")
        assert shown.tab.evaluate("getComputedStyle(document.activeElement).outline").startswith(
            {"light": "rgb(10, 83, 168) solid 3px", "dark": "rgb(133, 189, 255) solid 3px"}[scheme]
        )


def test_nothing_moves_while_it_is_filled(site: MakeSite) -> None:
    """Layout shifts without a person's doing, as the browser scores them; 0.1 is what is called good."""
    shown = site(busy)
    shown.open()
    of = {"model": "Stickers", "user": "ana", "update": identifier(90)}
    for epoch in range(4, 9):
        shown.tell("update_progress", "an epoch is over", kept=False, **of, detail={"epoch": epoch, "loss": 0.3})
    shown.tab.until("document.querySelector('.card .loss').textContent.includes('after epoch 9')")
    scored = "new PerformanceObserver((list) => done(list.getEntries().reduce((sum, one) => sum + one.value, 0)))"
    told = shown.tab.evaluate(f"Promise.race([new Promise((done) => {scored}.observe({{type: 'layout-shift', buffered: true}})), "
                              "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))])")  # fmt: skip
    assert told < 0.1
