"""One watched folder: what is there when it begins, then what comes; each file once it is complete."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path

from anyio import CancelScope, Event, create_task_group, current_time, sleep
from anyio.to_thread import run_sync
from watchfiles import Change, awatch

from tailor import MLModelError

from ..configuration import Limits, Watch
from .files import MOST_FILES, Found, identity, listed, looked_at
from .settling import Settling
from .taking import Add, Describe, Taking, Tell

FOLDER = 2.0
"""Seconds between two looks whether the folder is still there."""
RESCAN = 300.0
"""Seconds until all of it is looked at again: some file systems do not tell of what happens on them."""
SOON = 2.0
"""Seconds until it is looked at again where a folder came: files may have come into it before anybody watched it."""
RETRY = 30.0
"""Seconds until files are tried again that nothing is wrong with."""

log = logging.getLogger(__name__)


class WatchedFolder:
    """``run`` follows it until it is cancelled, whatever becomes of it; begun again, it goes on with what it knows of the files.

    What has been taken is known by the ids of its examples, which the ledger has: nothing else need be remembered.
    """

    def __init__(self, name: str, watch: Watch, limits: Limits, *, description: Describe, add: Add, tell: Tell) -> None:
        self.name, self.watch, self.limits = name, watch, limits
        self._folder = Path(watch.folder)
        self._settling = Settling(watch.settle)
        self._tell = tell
        self._trouble: str | None = None  # what keeps it, as it was told
        self._changed: set[str] = set()
        done, again = self._settling.done, self._changed_again
        self._taking = Taking(name, watch, limits, description=description, add=add, tell=tell, done=done, again=again)
        self._news = Event()
        self._rescan_at = self._retry_at = 0.0

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self._follow()
            except OSError as error:
                await self._held_up(f"expected a folder that can be read, {self._folder}, got {error.strerror or error}")
                await sleep(FOLDER)
            except Exception as error:  # a folder that fails is tried again, and the others go on
                if not isinstance(error, MLModelError):
                    log.exception("watch %s", self.name)
                await self._held_up(str(error))
                await sleep(RETRY)

    async def _follow(self) -> None:
        """While the folder is the same one. Raises ``OSError`` when there is none."""
        which = await run_sync(identity, self._folder)
        self._rescan_at = self._retry_at = current_time()
        failed: Exception | None = None
        async with create_task_group() as group:
            stop = Event()
            group.start_soon(self._listen, stop)
            try:
                while await run_sync(identity, self._folder) == which:
                    await self._turn()
            except Exception as error:  # out of the group it would come in an exception group
                failed = error
            finally:
                stop.set()  # else the thread that waits for changes would not hear of it for a while
                group.cancel_scope.cancel()
        if failed is not None:
            raise failed

    async def _turn(self) -> None:
        """Looks at what has changed, takes what is complete, and waits until there is more to do."""
        self._news = Event()
        await self._look()
        if current_time() >= self._retry_at:
            try:
                await self._taking.take(self._settling.ready(current_time()))
                await self._freed()
            except MLModelError as error:
                self._retry_at = current_time() + RETRY
                await self._held_up(str(error))
        due = min(self._rescan_at, max(self._settling.next(), self._retry_at), current_time() + FOLDER)
        with CancelScope(deadline=due):
            await self._news.wait()

    async def _listen(self, stop: Event) -> None:
        """Notes what changes in the folder."""
        first = True
        try:
            told = awatch(
                self._folder,
                watch_filter=None,
                debounce=400,
                step=100,
                rust_timeout=2000,
                yield_on_timeout=True,
                stop_event=stop,
                ignore_permission_denied=True,
            )
            async with aclosing(told) as changes:
                async for some in changes:
                    self._note(some)
                    if first:  # of what came before it watched, nobody has told
                        first, self._rescan_at = False, current_time()
                    if some or self._rescan_at <= current_time():
                        self._news.set()
        except Exception as error:  # the system has no more watches to give, or the folder has gone: then it is looked at now and then
            log.warning("watch %s: %s: it is looked at every %.0f seconds instead", self.name, error, RETRY)
            while True:
                self._rescan_at = current_time()
                self._news.set()
                await sleep(RETRY)

    def _changed_again(self, name: str) -> None:
        self._changed.add(name)
        self._news.set()

    def _note(self, changes: Iterable[tuple[Change, str]]) -> None:
        for _, path in changes:
            name = os.path.relpath(path, self._folder).replace(os.sep, "/")
            if name == "." or name.startswith("../"):
                self._rescan_at = current_time()
            else:
                self._changed.add(name)

    async def _look(self) -> None:
        """How the files stand that have changed, or all of them."""
        names, self._changed = self._changed, set()
        if current_time() >= self._rescan_at:
            self._rescan_at = current_time() + RESCAN
            found = await run_sync(_scanned, self._folder, self.limits.example_bytes)
            self._settling.only({one.name for one in found})
            if len(found) == MOST_FILES:
                text = f"{self._folder}: as many files as are looked at, {MOST_FILES}: others wait until some of these are removed"
                await self._taking.tell_once("trouble", "", text, "")
        else:
            found, gone, folders = await run_sync(_seen, self._folder, names, self.limits.example_bytes) if names else ([], [], False)
            for name in gone:
                self._settling.gone(name)
            if folders:
                self._rescan_at = min(self._rescan_at, current_time() + SOON)
        for one in found:
            self._settling.saw(one, current_time())

    async def _held_up(self, trouble: str) -> None:
        """Tells, once, what keeps it as a whole."""
        if trouble != self._trouble:
            await self._said("watch_waits", trouble)
            self._trouble = trouble

    async def _freed(self) -> None:
        if self._trouble is not None:
            await self._said("watch_goes_on", f"{self._folder} is followed again")
            self._trouble = None

    async def _said(self, kind: str, text: str) -> None:
        text = f"watch {self.name}: {text}"
        try:
            await self._tell(kind, text, model=self.watch.model, user=self.watch.user, watch=self.name)
        except MLModelError as error:  # of the ledger, which may be what holds it up
            log.warning("%s; %s", text, error)


def _scanned(folder: Path, image_bytes: int) -> list[Found]:
    return [one for one, _ in zip(listed(folder, image_bytes), range(MOST_FILES), strict=False)]


def _seen(folder: Path, names: Iterable[str], image_bytes: int) -> tuple[list[Found], list[str], bool]:
    """What is there of ``names``, what is not, and whether there are folders among them."""
    found, gone, folders = [], [], False
    for name in names:
        one = looked_at(folder, name, image_bytes)
        if one is not None:
            found.append(one)
        elif (folder / name).is_dir() and not (folder / name).is_symlink():
            folders = True
        else:
            gone.append(name)
    return found, gone, folders
