"""Who takes part in running a program, and the buffers that its values lie in.

A prediction of one example alone leaves processors idle. Mates then go through the same program and take parts of its
steps; whoever is free takes the next, so that nobody waits for a mate that other work holds up. Who did a part does not
change its bits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from queue import SimpleQueue
from threading import Lock, Thread, local
from typing import Any

import numpy as np

from tailor.kernels import Array, Shape, linger

LOOKS = 40_000
"""How often a mate looks for the next program before it goes to sleep: about a millisecond. Waking it takes a tenth of that,
and a system may put a thread that wakes on a processor that works already."""

_spare: ContextVar[int] = ContextVar("tailor_spare", default=0)


@contextmanager
def mates(number: int) -> Iterator[None]:
    """What is predicted inside, in this thread, may be shared with ``number`` others."""
    token = _spare.set(number)
    try:
        yield
    finally:
        _spare.reset(token)


class NetworkCrew:
    """The crew of all predictions in this process; see ``Crew`` in the kernels."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._put = np.zeros(1, np.int64)
        self._mates: list[Thread] = []
        self._shelves = local()

    def __repr__(self) -> str:
        return f"<NetworkCrew: {len(self._mates)} mates>"

    def gather(self, work: Callable[[int], object]) -> None:
        """Calls ``work(threads)`` here and in mates; returns when it has returned here. A mate may come late, or not at all."""
        spare = _spare.get()
        if spare > 0:
            if len(self._mates) < spare:
                self._hire(spare)
            for _ in range(spare):
                self._calls.put(lambda: work(1 + spare))
            self._put[0] += 1
        work(1 + spare)

    def _hire(self, number: int) -> None:
        with self._lock:
            while len(self._mates) < number:
                mate = Thread(target=self._help, name=f"tailor-mate-{len(self._mates)}", daemon=True)
                mate.start()
                self._mates.append(mate)

    def _help(self) -> None:
        while True:
            self._calls.get()()
            seen = int(self._put[0])
            if self._calls.empty():
                linger(self._put, seen, LOOKS)

    def empty(self, shape: Shape) -> Array:
        """A float32 array; its memory is used again when nobody has a view of it any more."""
        shelf: Shelf | None = getattr(self._shelves, "own", None)
        if shelf is None:
            shelf = self._shelves.own = Shelf()
        return shelf.empty(shape)


class Shelf:
    """Buffers of one thread. Fresh memory costs more than many a layer: the system clears it page by page.

    A buffer is free when nothing but the shelf refers to it: views of an array refer to the buffer that it lies in, so
    a value that anybody still has is never overwritten. Beyond ``most`` bytes, buffers are let go, the oldest first.
    """

    SMALL = 1 << 14
    """Elements below which memory is not kept."""

    def __init__(self, most: int = 64 << 20) -> None:
        self._most = most
        self._buffers: list[Array] = []
        self._held = 0

    def empty(self, shape: Shape) -> Array:
        """An array of ``shape`` in a free buffer that is not much too large, or in a new one."""
        size = prod(shape)
        if size < self.SMALL or not COUNTED:
            return np.empty(shape, np.float32)
        best = -1
        for place in range(len(self._buffers)):
            if sys.getrefcount(self._buffers[place]) == FREE:
                room = self._buffers[place].size
                if size <= room <= 2 * size and (best < 0 or room < self._buffers[best].size):
                    best = place
        if best >= 0:
            return self._buffers[best][:size].reshape(shape)
        fresh = np.empty(size, np.float32)
        self._buffers.append(fresh)
        self._held += fresh.nbytes
        while self._held > self._most and self._buffers:
            self._held -= self._buffers.pop(0).nbytes
        return fresh.reshape(shape)


COUNTED = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether the number of references to an object says who has it."""


def _references() -> int:
    """What ``sys.getrefcount`` says of an array that only a list holds, called as the shelf calls it."""
    held: list[Any] = [np.empty(1, np.float32)]
    return sys.getrefcount(held[0])


FREE = _references()

_crew = NetworkCrew()


def shared_crew() -> NetworkCrew:
    """The crew of all predictions in this process."""
    return _crew
