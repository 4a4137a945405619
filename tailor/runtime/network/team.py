"""A small team of threads that shares work over examples, in pieces whose size does not depend on the number of threads.

Why ours and not BLAS's own threads: a matrix product that is split inside BLAS waits for its slowest part many times a
step, so that two threads of OpenBLAS fall behind one whenever another process has a core. Pieces of whole examples meet
once a step. Because pieces are always the same and are added in their order, any number of threads gives the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from itertools import count, repeat
from threading import Lock
from typing import Any, TypeVar

from ..errors import MLParameterError

T = TypeVar("T")

PIECE_WORK = 48_000_000
"""Multiply-adds in a piece, at most, where an example alone has not more: a millisecond, which dwarfs a hand-over."""

MOST = 1024
"""Examples in a piece, at most, however small they are."""


def pieces(total: int, work: int) -> list[slice]:
    """``total`` examples, of ``work`` multiply-adds each, in pieces of a power of two; the last may be shorter."""
    size = 1 << (max(1, min(MOST, PIECE_WORK // max(1, work))).bit_length() - 1)
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


THREADS = "TAILOR_THREADS"
"""The environment variable that says how many threads a prediction or update may use."""

_most: ContextVar[int | None] = ContextVar("tailor_threads", default=None)


@contextmanager
def at_most(threads: int | None) -> Iterator[None]:
    """What is predicted or learned inside uses no more threads than that; ``None`` leaves it as it is outside."""
    outside = _most.get()
    token = _most.set(outside if threads is None else threads if outside is None else min(threads, outside))
    try:
        yield
    finally:
        _most.reset(token)


def allowed() -> int:
    """How many threads there may be where nobody says it in the program: one a processor that this process may use, but no
    more than BLAS may use (``OMP_NUM_THREADS``, ``threadpoolctl.threadpool_limits``) and than ``TAILOR_THREADS`` says.

    Raises ``MLParameterError`` where that is no whole number of at least 1.
    """
    text = os.environ.get(THREADS, "")
    if text and not (text.isascii() and text.isdigit() and int(text) > 0):
        raise MLParameterError(f"environment variable {THREADS}: expected a whole number of at least 1, got {text!r}")
    most = processors()
    return max(1, min(most, _limit.threads(most), int(text) if text else most))


class Team:
    """Threads that work through numbered pieces; the caller is one of them. Made when first needed, ended by ``close``.

    ``threads``: how many, by default as many as are ``allowed`` when the work begins.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._own = None if threads is None else max(1, threads)
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "idle" if self._pool is None else "at work"
        return f"<Team of {self.threads}: {state}>"

    @property
    def threads(self) -> int:
        """How many may work, the caller included: never more than ``at_most`` says around it."""
        threads, most = allowed() if self._own is None else self._own, _most.get()
        return threads if most is None else min(threads, most)

    def each(self, work: Callable[[int], T], total: int, take: Callable[[T], None]) -> None:
        """Calls ``work(0)`` to ``work(total - 1)`` on the team and ``take`` with the answers, in order, one at a time.

        Returns when all is done. Where calls raise, raises what the first of them (by number) raised; no piece is begun
        after a failure has been seen. One piece is done by the caller, with no hand-over.
        """
        line = _Line(work, total, take)
        mates = min(self.threads, total) - 1 if total > 1 else 0
        with one_blas_thread():
            pools = self._pools() if mates else []
            # each in a context of its own that knows what the caller's does: who watches, what stops it
            helped = [pool.submit(copy_context().run, line.work_through) for pool in pools for _ in range(mates)]
            line.work_through()
            for mate in helped:
                if not mate.cancel():  # cancelled: it never began, and nothing is left for it
                    mate.result()
        if line.failures:
            raise line.failures[min(line.failures)]

    def _pools(self) -> list[ThreadPoolExecutor]:
        with self._lock:
            if self._closed:
                return []
            if self._pool is None:  # one thread begins when there is work and none is idle, so this is no more than a bound
                self._pool = ThreadPoolExecutor((self._own or processors()) - 1 or 1, thread_name_prefix="tailor-team")
            return [self._pool]

    def close(self) -> None:
        """Ends the threads. Work that comes later is done by its caller alone."""
        with self._lock:
            pool, self._pool, self._closed = self._pool, None, True
        if pool is not None:
            pool.shutdown(wait=True)


class _Line:
    """Pieces waiting to be done, and answers waiting for those before them."""

    def __init__(self, work: Callable[[int], Any], total: int, take: Callable[[Any], None]) -> None:
        self.failures: dict[int, BaseException] = {}
        self._work, self._total, self._take = work, total, take
        self._numbers = count()
        self._lock = Lock()
        self._early: dict[int, Any] = {}
        self._next = 0

    def work_through(self) -> None:
        """Takes the next piece until there is none; run by every member of the team."""
        while not self.failures and (number := next(self._numbers)) < self._total:
            try:
                self._hand_in(number, self._work(number))
            except BaseException as error:  # given to the caller of ``each``
                self.failures[number] = error

    def _hand_in(self, number: int, answer: Any) -> None:
        with self._lock:
            self._early[number] = answer
            while self._next in self._early:
                self._take(self._early.pop(self._next))
                self._next += 1


class _Limit:
    """Holds BLAS libraries to one thread while anybody wants that."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._libraries: list[Any] | None = None
        self._before: list[int] = []

    def _found(self) -> list[Any]:
        """The BLAS libraries in this process; to be asked with the lock held."""
        if self._libraries is None:
            from threadpoolctl import ThreadpoolController  # looks through all loaded libraries: once, and late

            self._libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        return self._libraries

    def threads(self, unknown: int) -> int:
        """How many threads BLAS may use when nobody holds it; ``unknown`` where there is no BLAS that says it."""
        with self._lock:
            libraries = self._found()
            return max(self._before if self._users else (library.get_num_threads() for library in libraries), default=unknown)

    def put(self, threads: Iterable[int]) -> list[int]:
        """Sets how many threads each library may use when nobody holds it; as it was before."""
        with self._lock:
            libraries = self._found()
            before = self._before if self._users else [library.get_num_threads() for library in libraries]
            after = [many for many, _ in zip(threads, libraries, strict=False)]
            if self._users:
                self._before = after
            else:
                for library, many in zip(libraries, after, strict=True):
                    _set(library, many)
            return before

    def __enter__(self) -> None:
        with self._lock:
            libraries = self._found()
            threads = [library.get_num_threads() for library in libraries]
            if self._users == 0:
                self._before = threads
            self._users += 1
            # Asked anew by every user: somebody else in the process may have set it meanwhile, and with it goes the promise
            # of equal bits.
            for library, found in zip(libraries, threads, strict=True):
                if found != 1:
                    _set(library, 1)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for library, threads in zip(self._libraries or (), self._before, strict=True):
                    _set(library, threads)


def _set(library: Any, threads: int) -> None:
    """Sets the threads of a BLAS library, from whichever thread: ``threadpoolctl`` 3.8 lets only the first one that does, unless told."""
    clear = getattr(library, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)
    library.set_num_threads(threads)
    if clear is not None:
        clear(force=True)


_limit = _Limit()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """While it is open, NumPy's and SciPy's BLAS use one thread a call: the team shares the work out instead.

    OpenBLAS has one such setting a process, so the calls of others are held to one thread too, but only as long as a
    piece of our work is running: the setting found is put back when the last user leaves.
    """
    with _limit:
        yield


@contextmanager
def granted(threads: int) -> Iterator[None]:
    """While it is open, so many threads are ``allowed``, to BLAS too, whatever the process was started with: somebody who knows says so."""
    before = _limit.put(repeat(threads))
    try:
        yield
    finally:
        _limit.put(before)


_shared = Team()


def shared_team() -> Team:
    """The team of all predictions in this process."""
    return _shared
