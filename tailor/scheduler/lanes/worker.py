"""A worker process of a ``ProcessLane``: its main loop, and what work that runs in it can ask and be told."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection as connections
from queue import SimpleQueue
from typing import Any

from ..errors import SchedulerError
from .link import Kind, Link, Packed, packed, packed_error, unpacked

MOST_CHANNELS = 32
"""Of how many channels a worker keeps what their work has left; that of the one used longest ago goes first."""

GRACE = 1.0
"""Seconds that a worker has to end by itself once nobody is there to work for."""

Message = tuple[Kind, int, bytes]

_caller: Caller | None = None


class Caller:
    """The process that a worker works for, as the work sees it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._works: SimpleQueue[Message | None] = SimpleQueue()
        self._answers: SimpleQueue[Message] = SimpleQueue()
        self._asking = threading.Lock()
        self._hearing = threading.RLock()
        self._number = 0
        self._untold: list[bytes] = []
        self._handler: Callable[[Any], None] | None = None
        self._refused: BaseException | None = None
        self._kept: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._key = ""

    @property
    def kept(self) -> dict[str, Any]:
        """What earlier work of the same channel has left in this worker; empty in another worker, and after a while.

        What is dropped is closed, if it has a method ``close``.
        """
        return self._kept[self._key]

    def ask(self, question: object) -> Any:
        """What the channel of this work answers; raises what it raises. Waits for it."""
        with self._asking:
            self._link.send(Kind.QUESTION, self._number, packed(question))
            kind, _, body = self._answers.get()
        answer = unpacked(body)
        if kind is Kind.REFUSAL:
            (self._refused,) = answer
            raise self._refused
        return answer

    @contextmanager
    def listening(self, handler: Callable[[Any], None]) -> Iterator[None]:
        """What the channel of this work is told meanwhile, and was told since the work was sent, goes to ``handler``, in another thread."""
        with self._hearing:
            self._handler = handler
            for body in self._untold:
                handler(unpacked(body))
            self._untold.clear()
        try:
            yield
        finally:
            with self._hearing:
                self._handler = None

    def _read(self) -> None:
        """Takes what comes, in a thread of its own: also while work is under way, to see that the caller is gone."""
        try:
            while True:
                message = self._link.receive()
                kind, number, body = message
                if kind is Kind.TOLD:
                    self._hear(number, body)
                elif kind in (Kind.ANSWER, Kind.REFUSAL):
                    self._answers.put(message)
                else:
                    if kind is Kind.WORK:
                        self._begin(number)
                    self._works.put(message)
        except (EOFError, OSError):
            self._works.put(None)
        time.sleep(GRACE)  # the parent is gone: a thread of its own gives what runs the time to end by itself
        os._exit(1)  # work that nobody waits for, or something that does not want to end

    def _begin(self, number: int) -> None:
        with self._hearing:
            self._number = number
            self._untold.clear()

    def _hear(self, number: int, body: bytes) -> None:
        with self._hearing:
            if number != self._number:
                return  # that work is over
            if self._handler is None:
                self._untold.append(body)
            else:
                self._handler(unpacked(body))

    def _serve(self) -> None:
        threading.Thread(target=self._read, name="tailor-worker-reader", daemon=True).start()
        while (message := self._works.get()) is not None:
            kind, number, body = message
            if kind is Kind.FORGET:
                self._drop(body.decode())
                continue
            try:
                self._link.send(*self._worked(number, body))
            except OSError:  # nobody waits for it any more
                return

    def _worked(self, number: int, body: bytes) -> tuple[Kind, int, Packed]:
        """Does one piece of work; what is to be sent back."""
        self._refused = None
        try:
            try:
                self._key, work = unpacked(body)
            except Exception as error:
                raise SchedulerError(
                    f"process lane: expected work of modules that another process can import, got {type(error).__name__}: {error}"
                ) from error
            self._kept.setdefault(self._key, {})
            self._kept.move_to_end(self._key)
            while len(self._kept) > MOST_CHANNELS:
                self._drop(next(iter(self._kept)))
            result = work()
            try:
                return Kind.RESULT, number, packed(result)
            except Exception as error:
                raise SchedulerError(
                    f"process lane: expected a result that can be sent to another process, got {type(result).__name__}: {error}"
                ) from error
        except BaseException as error:  # as in a thread: whatever it is, it belongs to who has sent the work
            return Kind.FAILURE, number, self._failure(error)
        finally:
            if not self._key:
                self._drop("")

    def _failure(self, error: BaseException) -> Packed:
        """An error, its traceback as text, and whether it came of an answer."""
        told = "".join(traceback.format_exception(error))
        refused = any(part is self._refused for part in _chain(error))
        return packed_error(error, told, refused)

    def _drop(self, key: str) -> None:
        for value in self._kept.pop(key, {}).values():
            close = getattr(value, "close", None)
            if close is not None:
                close()


def caller() -> Caller:
    """The process that this one works for. Raises ``SchedulerError`` where this one is no worker."""
    if _caller is None:
        raise SchedulerError("expected to be asked in a worker process of a ProcessLane, got another process")
    return _caller


def main(handle: int) -> None:
    """Works until the other end of the connection ``handle`` is closed."""
    global _caller
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; what to end, the caller decides
    if sys.platform == "win32":
        connection = connections.PipeConnection(handle)
    else:
        connection = connections.Connection(handle)
    _caller = Caller(Link(connection))
    _caller._serve()


def _chain(error: BaseException | None) -> list[BaseException]:
    """An error, what it was raised from, and so on."""
    found: list[BaseException] = []
    while error is not None and all(error is not part for part in found):
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
