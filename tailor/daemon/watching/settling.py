"""Which files are complete: those that have not changed for a while. Pure: what is seen and when is told."""

from __future__ import annotations

from collections.abc import Collection
from math import inf

from .files import Found, Stamp


class Settling:
    """``settle``: seconds in which a file must not have changed. Times are those of any clock that only goes on."""

    def __init__(self, settle: float) -> None:
        self.settle = settle
        self._waiting: dict[str, tuple[Found, float]] = {}  # and when it is complete, if nothing comes
        self._done: dict[str, Stamp] = {}

    def saw(self, found: Found, now: float) -> None:
        """A file as it stands now. One that is done, and has not changed since, stays so."""
        if self._done.get(found.name) == found.stamp:
            self._waiting.pop(found.name, None)
            return
        self._done.pop(found.name, None)
        waiting = self._waiting.get(found.name)
        if waiting is not None and waiting[0].stamp == found.stamp:
            return
        # A clock that was put back, or another machine's, may give any age: then it has changed just now.
        left = self.settle - found.age if waiting is None and found.age >= 0 else self.settle
        self._waiting[found.name] = found, now + max(0.0, left)

    def gone(self, name: str) -> None:
        """It is not there any more."""
        self._waiting.pop(name, None)
        self._done.pop(name, None)

    def only(self, names: Collection[str]) -> None:
        """No others are there."""
        for name in [name for name in (*self._waiting, *self._done) if name not in names]:
            self.gone(name)

    def done(self, found: Found) -> None:
        """It has been dealt with, as it was found."""
        waiting = self._waiting.get(found.name)
        if waiting is None or waiting[0].stamp == found.stamp:
            self._waiting.pop(found.name, None)
            self._done[found.name] = found.stamp

    def ready(self, now: float) -> list[Found]:
        """Those that are complete, in the order in which they were last written."""
        return sorted((found for found, at in self._waiting.values() if at <= now), key=lambda found: (found.stamp.modified, found.name))

    def next(self) -> float:
        """When the next one is complete."""
        return min((at for _, at in self._waiting.values()), default=inf)
