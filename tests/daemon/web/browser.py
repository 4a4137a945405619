"""A headless Chromium, driven by the DevTools protocol through a pipe (https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 20.0
"""Seconds that an answer may take, on a machine that is busy with something else."""
OPTIONS = (
    "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-extensions",
    "--disable-sync", "--no-first-run", "--no-pings", "--mute-audio", "--password-store=basic", "--use-mock-keychain",
    "--hide-scrollbars",
)  # fmt: skip
# The browser reads from 3 and writes to 4, whatever numbers the pipes have here.
_LAUNCH = (
    "import fcntl, os, sys\n"
    "given = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]\n"
    "os.dup2(given[0], 3); os.dup2(given[1], 4)\n"
    "os.execv(sys.argv[3], sys.argv[3:])\n"
)


def browser_path() -> str | None:
    """Where a Chromium is, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A browser of its own, with nothing from before; ``close`` ends it."""

    def __init__(self, path: str, folder: Path) -> None:
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(theirs_in), str(theirs_out), path, *OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TZ": "UTC", "LANG": "C.UTF-8"},
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._rest = b""
        self._number = 0
        self._events: deque[dict[str, Any]] = deque()

    def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """The answer to a command. Raises ``AssertionError`` with the browser's message where it is refused."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            told = self._read()
            if told.get("id") == self._number:
                assert "error" not in told, f"{method}: {told['error']}"
                result: dict[str, Any] = told["result"]
                return result
            if "method" in told:  # not a late answer to what nobody waits for any more
                self._events.append(told)

    def events(self, session: str) -> list[dict[str, Any]]:
        """What happened in a tab since the last time that was asked."""
        mine = [event for event in self._events if event.get("sessionId") == session]
        self._events = deque(event for event in self._events if event.get("sessionId") != session)
        return mine

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], PATIENCE)
            assert ready, f"the browser said nothing for {PATIENCE} seconds"
            piece = os.read(self._from, 1 << 20)
            assert piece, "the browser has ended"
            self._rest += piece
        line, self._rest = self._rest.split(b"\0", 1)
        told: dict[str, Any] = json.loads(line)
        return told

    def close(self) -> None:
        """Ends the browser, and all that it started."""
        try:
            self.ask("Browser.close")
            self._process.wait(PATIENCE)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)
        finally:
            os.close(self._to)
            os.close(self._from)


class Tab:
    """A tab. Its timers of less than ten seconds run fifty times as fast, so that no test waits for a pause of the page."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")
        self.ask("Page.addScriptToEvaluateOnNewDocument", source=(
            "const later = window.setTimeout.bind(window);"
            "window.setTimeout = (work, time, ...more) => later(work, time < 10000 ? time / 50 : time, ...more);"
        ))  # fmt: skip

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """A command for this tab."""
        return self._browser.ask(method, self._session, **params)

    def resize(self, width: int, height: int) -> None:
        """The window, in CSS pixels."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, name: str) -> None:
        """``"light"`` or ``"dark"``: what the person prefers."""
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def open(self, url: str) -> None:
        """Goes to an address."""
        assert "errorText" not in self.ask("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of JavaScript, awaited where it is a promise."""
        told = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def until(self, expression: str) -> Any:
        """The value of JavaScript, once it is true: looked at after every change of the page."""
        return self.evaluate(
            f"new Promise((found) => {{ let seen; const value = () => {{ try {{ return {expression}; }} catch {{ return null; }} }};"
            " const look = () => { const now = value(); if (now) { seen?.disconnect(); found(now); } };"
            " seen = new MutationObserver(look);"
            " seen.observe(document, {subtree: true, childList: true, characterData: true, attributes: true}); look(); })"
        )

    def text(self, selector: str) -> list[str]:
        """The texts of elements that are shown, their white space made plain."""
        found = f"[...document.querySelectorAll({json.dumps(selector)})].filter((one) => one.checkVisibility())"
        texts: list[str] = self.evaluate(f"{found}.map((one) => (one.innerText ?? one.textContent).replace(/\\s+/g, ' ').trim())")
        return texts

    def press(self, key: str) -> None:
        """A key: ``Tab``, ``Shift+Tab``, ``Enter``, ``Escape``, or text that is typed."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        name = key.removeprefix("Shift+")
        if name not in codes:
            self.ask("Input.insertText", text=key)
            return
        pressed: dict[str, Any] = {"key": name, "code": name, "windowsVirtualKeyCode": codes[name], "modifiers": 8 if key != name else 0}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **pressed, **({"text": "\r"} if name == "Enter" else {}))
        self.ask("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def focused(self) -> str:
        """What the keyboard is on: its name for people."""
        name: str = self.evaluate("(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()")
        return name

    def errors(self) -> list[str]:
        """Errors on the console since the last time: of scripts, of the network, of the policy."""
        self.evaluate("1")  # what was said until now has come
        found = []
        for event in self._browser.events(self._session):
            told = event.get("params", {})
            match event["method"]:
                case "Runtime.exceptionThrown":
                    found.append(told["exceptionDetails"]["exception"]["description"])
                case "Runtime.consoleAPICalled" if told["type"] == "error":
                    found.append(str(told["args"]))
                case "Log.entryAdded" if told["entry"]["level"] == "error":
                    found.append(told["entry"]["text"])
        return found
