"""Who shares one example's work, and the buffers that its values lie in.

A prediction of one example alone leaves processors idle. The parts of a layer are then shared with mates; whoever is free
takes the next part, so that nobody waits for a mate that other work holds up. How a layer is cut does not depend on
who does it, and so the bits do not either.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from math import prod
from queue import SimpleQueue
from threading import Lock, Thread, local
from typing import Any

import numpy as np

from tailor.kernels import Array, Shape

_spare: ContextVar[int] = ContextVar("tailor_spare", default=0)


@contextmanager
def mates(number: int) -> Iterator[None]:
    """What is predicted inside, in this thread, may be shared with ``number`` others."""
    token = _spare.set(number)
    try:
        yield
    finally:
        _spare.reset(token)


class _Parts:
    """The parts of one layer, taken by the caller and by mates who come in time."""

    __slots__ = ("_claims", "_total", "_work", "failure", "finished", "left", "lock")

    def __init__(self, work: Callable[[int], object], total: int) -> None:
        self._work, self._total = work, total
        self._claims = count()
        self.lock = Lock()
        self.left = total
        self.finished = Lock()
        self.finished.acquire()
        self.failure: BaseException | None = None

    def work_through(self) -> None:
        """Does parts until none is left to take."""
        while (part := next(self._claims)) < self._total:
            try:
                if self.failure is None:
                    self._work(part)
            except BaseException as error:  # given to the caller of ``share``
                self.failure = error
            with self.lock:
                self.left -= 1
                last = self.left == 0
            if last:
                self.finished.release()


class NetworkCrew:
    """The crew of all predictions in this process; see ``Crew`` in the kernels."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._calls: SimpleQueue[_Parts] = SimpleQueue()
        self._mates: list[Thread] = []
        self._shelves = local()

    def __repr__(self) -> str:
        return f"<NetworkCrew: {len(self._mates)} mates>"

    def share(self, work: Callable[[int], object], total: int) -> None:
        """Calls ``work(0)`` to ``work(total - 1)``; returns when all are done, and raises what one of them raised."""
        spare = min(_spare.get(), total - 1)
        if spare < 1:
            for part in range(total):
                work(part)
            return
        if len(self._mates) < spare:
            self._hire(spare)
        parts = _Parts(work, total)
        for _ in range(spare):
            self._calls.put(parts)
        parts.work_through()
        parts.finished.acquire()
        if parts.failure is not None:
            raise parts.failure

    def _hire(self, number: int) -> None:
        with self._lock:
            while len(self._mates) < number:
                mate = Thread(target=self._help, name=f"tailor-mate-{len(self._mates)}", daemon=True)
                mate.start()
                self._mates.append(mate)

    def _help(self) -> None:
        while True:
            self._calls.get().work_through()

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
