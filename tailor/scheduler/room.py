"""Room for jobs that wait: how many there may be, and who comes next when there is none."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio


class Room:
    """Room for ``most`` jobs; ``None``: for any number. ``waiting`` says how many there are now.

    Who waits for a place gets it in the order of coming; a place that was given counts as taken from then on.
    """

    def __init__(self, most: int | None, waiting: Callable[[], int]) -> None:
        if most is not None and (not isinstance(most, int) or most < 1):
            raise ValueError(f"scheduler: most_waiting: expected a whole number of at least 1, got {most!r}")
        self.most = most
        self._waiting = waiting
        self._places: deque[anyio.Event] = deque()
        self._promised = 0  # places that were given, and not come for yet

    @property
    def full(self) -> bool:
        """Whether no more jobs may come."""
        return self.most is not None and self._waiting() + self._promised >= self.most

    async def wait(self) -> None:
        """Waits for a place, behind all who wait for one; whoever gets it submits a job at once, and calls ``give`` then."""
        if not (self.full or self._places):
            return
        place = anyio.Event()
        self._places.append(place)
        try:
            await place.wait()
        except BaseException:
            if place.is_set():  # whoever is next has it
                self._promised -= 1
                self.give()
            else:
                self._places.remove(place)
            raise
        self._promised -= 1

    def give(self, *, to_all: bool = False) -> None:
        """Gives the places that are free to those who wait for one; ``to_all``: whether there is room or not."""
        while self._places and (to_all or not self.full):
            self._promised += 1
            self._places.popleft().set()
