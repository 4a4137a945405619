"""The daemon as a process: what it opens, who stops it, and that it ends in time."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import anyio
from anyio.abc import TaskStatus
from anyio.to_thread import run_sync
from msgspec.structs import replace

from tailor import MLModelError

from ..api import Application, Service, open_tokens
from ..configuration import Places, Settings, find_settings, private_folder, read_settings
from ..daemon import Daemon
from .activation import activated_sockets
from .listening import listening, places_of
from .lock import locked
from .logs import LogFormat, begin_log
from .notify import Notifier
from .server import serve
from .stores import store_of

STOPPING = (signal.SIGTERM, signal.SIGINT)
log = logging.getLogger(__name__)

ANSWERS = 0.5
"""The share of the time to stop in that those have who wait for an answer; the rest is for checkpoints."""
GRACE = 5.0
"""Seconds more until the system ends a process that cannot end itself, and as many again until systemd does."""
LATE = 75
"""The exit code of one that did not stop in time: EX_TEMPFAIL of BSD's sysexits, for the next start takes up what was at work."""


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says, in place of what the file does. ``config``: the file, else the one that ``find_settings`` gives."""

    config: Path | None = None
    state: Path | None = None
    socket: Path | None = None
    port: int | None = None
    log_format: LogFormat | None = None

    @property
    def file(self) -> Path | None:
        """The file of settings, if there is one."""
        return self.config if self.config is not None else find_settings()

    def settings(self) -> Settings:
        """The settings by which the daemon works. Raises ``SettingsError``."""
        settings = read_settings(self.file)
        if self.port is not None:
            settings = replace(settings, http=replace(settings.http, port=self.port))
        return settings if self.log_format is None else replace(settings, log=replace(settings.log, format=self.log_format))

    def places(self, settings: Settings) -> Places:
        """Where everything is."""
        return Places.of(settings, state=self.state, socket=self.socket)


def run_daemon(asked: Asked) -> None:
    """Runs the daemon until SIGTERM or SIGINT, and then no longer than ``stop_seconds``; a second one ends it at once.

    Where something hangs by then, the process ends with the code ``LATE``; if that hangs too, by SIGALRM, ``GRACE`` seconds later. SIGHUP:
    the settings are read again. What it leaves, however it ends, the next one takes up. Raises ``SettingsError``, ``MLConflictError`` where
    another daemon is there, and ``MLModelError`` and ``OSError`` for what it cannot open.
    """
    os.umask(0o077)
    asked = dataclasses.replace(asked, config=asked.file)  # so that a file that is removed is not taken for none
    settings = asked.settings()
    places = asked.places(settings)
    with locked(private_folder(places.state)):
        begin_log(settings.log.format, settings.log.level)
        anyio.run(_Process(asked, settings, places).run, backend="asyncio")


class _Process:
    def __init__(self, asked: Asked, settings: Settings, places: Places) -> None:
        self._asked = asked
        self._settings = settings
        self._places = places
        self._notifier = Notifier()
        self._stop = anyio.Event()
        self._reading = anyio.Lock()
        self._daemon: Daemon | None = None

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as starting:
                await group.start(self._hang_ups)
                await group.start(self._signals, starting)
                if self._notifier.watchdog_seconds is not None:
                    group.start_soon(self._watched, self._notifier.watchdog_seconds / 2)
                await self._work()
            group.cancel_scope.cancel()

    async def _work(self) -> None:
        """Everything that is open, from first to last."""
        settings, places = self._settings, self._places
        self._notifier.status("starting")
        async with (
            await store_of(settings, places.store) as store,
            Daemon(settings, places.state, store) as daemon,
            anyio.create_task_group() as group,
        ):
            self._daemon = daemon  # from here on it ends by the event, and what is open is closed in order
            group.start_soon(_logged, daemon)
            daemon.settings_file = None if self._asked.file is None else str(self._asked.file.absolute())
            tokens = None if settings.http.port is None else await run_sync(open_tokens, places.state)
            service = Service(daemon, tokens=tokens, read=self.read)
            with self._sockets() as sockets:
                daemon.listening = places_of(sockets)
                told = f"listening at {', '.join(daemon.listening)}"
                async with service.counting():
                    await serve(
                        Application(service),
                        sockets,
                        settings.http,
                        stop=self._stop,
                        seconds=settings.stop_seconds * ANSWERS,
                        started=lambda: self._ready(told, store.name),
                    )
            daemon.stop()
        log.info("stopped")

    @contextmanager
    def _sockets(self) -> Iterator[list[socket.socket]]:
        with ExitStack() as stack:
            given = [stack.enter_context(one) for one in activated_sockets()]
            yield given or stack.enter_context(listening(self._places.socket, self._settings.http.port))

    def _ready(self, told: str, store: str) -> None:
        self._notifier.ready(told)
        log.info("%s; state in %s, store in %s", told, self._places.state, store)

    # Signals

    async def _signals(self, starting: anyio.CancelScope, *, task_status: TaskStatus[None]) -> None:
        """The first SIGTERM or SIGINT stops the daemon. Then both are the system's again, so that the next one ends it at once."""
        with anyio.open_signal_receiver(*STOPPING) as received:
            for one in STOPPING:
                signal.signal(one, self._bounded)  # the loop hears of it all the same
            task_status.started()
            number = await anext(aiter(received))
        _default(*STOPPING)
        seconds = self._settings.stop_seconds
        _end_after(seconds)
        log.info("%s: stopping, within %g seconds", number.name, seconds)
        self._notifier.stopping(seconds + 2 * GRACE)
        self._stop.set()
        if self._daemon is None:
            starting.cancel()
        else:
            self._daemon.stop()

    def _bounded(self, number: int, frame: FrameType | None) -> None:
        """Called at the first signal, though the loop may not turn: from here on the system sees to the end."""
        _default(*STOPPING, signal.SIGALRM)
        signal.setitimer(signal.ITIMER_REAL, self._settings.stop_seconds + GRACE)

    async def _hang_ups(self, *, task_status: TaskStatus[None]) -> None:
        """Each SIGHUP has the settings read again."""
        with anyio.open_signal_receiver(signal.SIGHUP) as received:
            task_status.started()
            async for _ in received:
                try:
                    await self.read()
                except MLModelError:
                    continue  # it is told as an event

    async def _watched(self, pause: float) -> None:
        """Tells systemd that the loop turns."""
        while True:
            self._notifier.alive()
            await anyio.sleep(pause)

    # Settings

    async def read(self) -> Settings:
        """Reads the settings again, and works by them; what is wrong with them is told, and they are left. Raises ``MLModelError``."""
        async with self._reading:
            self._notifier.reloading()
            try:
                settings = await run_sync(self._asked.settings)
                if self._daemon is not None:
                    await self._daemon.reload(settings)
            except MLModelError as error:
                if self._daemon is None:
                    log.error("the settings stay as they were: %s", error)
                else:
                    await self._daemon.settings_refused(error)
                raise
            else:
                begin_log(settings.log.format, settings.log.level)
                self._settings = settings
                return settings
            finally:
                self._notifier.ready("running")


BAD = ("settings_refused", "sync_failed", "trouble")


async def _logged(daemon: Daemon) -> None:
    """What happens goes to the log, too: what is only progress for those who look for mistakes."""
    last = 0
    try:
        async for event in daemon.events():
            level = logging.DEBUG if event.sequence <= last else logging.WARNING if event.kind in BAD else logging.INFO
            log.log(level, "%s: %s", event.kind, event.text)
            last = max(last, event.sequence)
    except MLModelError as error:  # the ledger cannot be read: the daemon goes on as far as it can
        log.error("events are no longer told here: %s", error)


def _default(*numbers: signal.Signals) -> None:
    """Leaves these signals to the system, which ends the process."""
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)


def _end_after(seconds: float) -> None:
    """Ends the process with ``LATE`` where it has not ended by then: nothing is lost that a checkpoint does not have."""

    def end() -> None:
        log.error("not stopped within %g seconds, something hangs: ending with %d; the next start takes up what was at work", seconds, LATE)
        logging.shutdown()
        os._exit(LATE)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
