"""A daemon that tells, its API on loopback, and a browser that looks at the page."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tailor.daemon.api import Application, Service, Tokens

from .browser import Browser, Tab, browser_path
from .told import ToldDaemon

FULL, READ = "full-token-of-the-daemon-under-test", "read-token-of-the-daemon-under-test"
WAIT = 20.0


class Site:
    """A daemon with its API at ``origin``, and ``tab``, which looks at it."""

    def __init__(self, portal: BlockingPortal, daemon: ToldDaemon, origin: str, tab: Tab) -> None:
        self._portal, self.daemon, self.origin, self.tab = portal, daemon, origin, tab

    def open(self, view: str = "view=now", token: str = FULL) -> None:
        """Opens a view with a token, and waits until all of it is there."""
        self.tab.open("about:blank")
        self.tab.open(f"{self.origin}/#token={token}&{view}")
        self.settled()

    def go(self, view: str) -> None:
        """Another view."""
        self.moved(f"location.hash = {json.dumps(view)}")

    def moved(self, script: str) -> None:
        """Runs what leads to another view, and waits until all of that is there."""
        self.tab.evaluate(f"new Promise((come) => {{ addEventListener('hashchange', come, {{once: true}}); {script}; }}).then(() => 1)")
        self.settled()

    def settled(self) -> None:
        """Waits until the view shows what the daemon told, and hears of what happens."""
        self.tab.until(
            "document.querySelector('main h1') && !document.querySelector('[aria-busy]') && document.querySelector('.connection.live')"
        )
        self.tab.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))).then(() => 1)")

    def tell(self, kind: str, text: str, **fields: Any) -> None:
        """Something happens."""
        self._portal.call(lambda: self.daemon.tell(kind, text, **fields))

    def drop(self) -> None:
        """The streams of events end."""
        self._portal.call(self.daemon.drop)


@pytest.fixture(scope="session")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """One tab for all tests: what a page keeps, it keeps for its origin, and each test has its own."""
    if (path := browser_path()) is None:
        pytest.skip("looks at the page in a browser: no chromium, chromium-browser or google-chrome here")
    browser = Browser(path, tmp_path_factory.mktemp("browser"))
    try:
        yield Tab(browser)
    finally:
        browser.close()


@pytest.fixture
def site(tab: Tab) -> Iterator[Callable[[Callable[[], ToldDaemon]], Site]]:
    """Makes a site of a daemon. At its end the console must have no errors that the test did not take."""
    with start_blocking_portal("asyncio") as portal:
        ends: list[Callable[[], object]] = []

        def make(day: Callable[[], ToldDaemon]) -> Site:
            async def made() -> ToldDaemon:
                return day()

            daemon: Any = portal.call(made)  # the API asks it no more than it has
            listener = socket.create_server(("127.0.0.1", 0))
            service = Service(daemon, tokens=Tokens(FULL, READ))
            server = uvicorn.Server(uvicorn.Config(Application(service), log_level="critical", lifespan="off", timeout_graceful_shutdown=5))
            serving = portal.start_task_soon(server.serve, [listener])
            tab.resize(1280, 900)
            tab.scheme("light")

            def end() -> None:
                errors = tab.errors()
                tab.open("about:blank")
                portal.call(lambda: daemon.drop(for_good=True))
                server.should_exit = True
                serving.result(WAIT)
                assert errors == []

            ends.append(end)
            return Site(portal, daemon, f"http://127.0.0.1:{listener.getsockname()[1]}", tab)

        yield make
        for end in ends:
            end()


@pytest.fixture
def pages() -> Path:
    """The folder of the page's files."""
    return Path(__file__).parents[3] / "tailor" / "daemon" / "web" / "page"
