"""All watched folders of the settings, beside one another."""

from __future__ import annotations

from collections.abc import Mapping

from anyio import Event, create_task_group, to_thread

from ..configuration import Limits, Watch
from .folder import WatchedFolder
from .taking import Add, Describe, Tell


class Watching:
    """``run`` follows every ``[watch.NAME]`` until it is cancelled.

    ``description``  gives the description of a registered model, or raises ``MLNotFoundError``.
    ``add``          keeps examples for a model and user: what it has answered for is on disk.
    """

    def __init__(self, watches: Mapping[str, Watch], limits: Limits, *, description: Describe, add: Add, tell: Tell) -> None:
        self._description, self._add, self._tell = description, add, tell
        self._folders: list[WatchedFolder] = []
        self._changed = Event()
        self.reload(watches, limits)

    def reload(self, watches: Mapping[str, Watch], limits: Limits) -> None:
        """Other folders or limits from now on; what is known of the files of those that stay stays."""
        known = {(folder.name, folder.watch, folder.limits): folder for folder in self._folders}
        self._folders = [known.get((name, watch, limits)) or self._folder(name, watch, limits) for name, watch in watches.items()]
        self._changed.set()

    def _folder(self, name: str, watch: Watch, limits: Limits) -> WatchedFolder:
        return WatchedFolder(name, watch, limits, description=self._description, add=self._add, tell=self._tell)

    async def run(self) -> None:
        """Until it is cancelled. A folder that fails is tried again, and stops no other."""
        while True:
            self._changed = Event()
            limiter, folders = to_thread.current_default_thread_limiter(), self._folders
            limiter.total_tokens += len(folders)  # each has a thread that only waits, and is to take none from those who work
            try:
                async with create_task_group() as group:
                    for folder in folders:
                        group.start_soon(folder.run)
                    await self._changed.wait()
                    group.cancel_scope.cancel()
            finally:
                limiter.total_tokens -= len(folders)
