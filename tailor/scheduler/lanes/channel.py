"""What joins somebody with the worker process that works for it, from one piece of work to the next."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import SchedulerError
from .link import Kind, Packed, packed, packed_error, unpacked

if TYPE_CHECKING:
    from .process import WorkerProcess


class Channel:
    """Joins somebody with the worker that works for it, from one piece of work to the next.

    ``run(work, channel)`` takes the worker that the channel used last, where that is free, since what work has left there
    (``caller().kept``) is still there; if not, one that it used before, or any. ``answer`` is called, in a thread, with what the work
    asks by ``caller().ask``; what it returns or raises goes back. One piece of work at a time.
    """

    def __init__(self, answer: Callable[[Any], Any] | None = None) -> None:
        self._key = uuid.uuid4().hex
        self._answer = answer
        self._lock = threading.Lock()
        self._open = False
        self._untold: list[Packed] = []
        self._workers: list[WorkerProcess] = []  # that have worked for it, the last one first
        self._at_work: tuple[WorkerProcess, int] | None = None
        self._refusal: Exception | None = None

    def tell(self, message: object) -> None:
        """Tells the work that runs, by ``caller().listening``, or the next where none does. From any thread."""
        body = packed(message)
        with self._lock:
            if self._at_work is not None:
                self._send(*self._at_work, Kind.TOLD, body)
            else:
                self._untold.append(body)

    def close(self) -> None:
        """Lets the workers forget what work of this channel has left there. From any thread, when no work runs."""
        with self._lock:
            for worker in self._workers:
                self._send(worker, 0, Kind.FORGET, self._key.encode())
            self._workers.clear()
            self._untold.clear()

    def _opened(self) -> None:
        with self._lock:
            if self._open:
                raise SchedulerError("channel: expected one that no work uses, got one that some does")
            self._open, self._refusal = True, None

    def _sent(self, worker: WorkerProcess, number: int) -> None:
        """Called when the work is on its way: what is told goes behind it."""
        with self._lock:
            self._workers = [worker, *(other for other in self._workers if other is not worker and not other.lost)]
            self._at_work = worker, number
            for body in self._untold:
                self._send(worker, number, Kind.TOLD, body)
            self._untold.clear()

    def _over(self) -> None:
        """Called when the work has ended."""
        with self._lock:
            self._at_work = None

    def _closed(self) -> None:
        with self._lock:
            self._open = False

    def _send(self, worker: WorkerProcess, number: int, kind: Kind, body: Packed) -> None:
        try:
            worker.link.send(kind, number, body)
        except OSError:  # it has died: whoever waits for its work is told so
            return

    def _reply(self, number: int, body: bytes) -> tuple[Kind, int, Packed]:
        """What goes back to a worker that asks."""
        try:
            question = unpacked(body)
            if self._answer is None:
                raise SchedulerError(f"channel: expected work that asks nothing, for nobody answers, got {question!r}")
            return Kind.ANSWER, number, packed(self._answer(question))
        except Exception as error:
            self._refusal = error
            return Kind.REFUSAL, number, packed_error(error)
