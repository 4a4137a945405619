"""Predictions asked for at the same time, one by one, computed together: the answers are those of each alone, to the bit."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import inf
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import anyio
import anyio.lowlevel
import numpy as np
from anyio.abc import TaskGroup

from tailor.scheduler import Priority

from .errors import MLBusyError, MLParameterError, MLTaskStateError
from .model import MLModel
from .models import Column, Columns
from .network import at_most, in_any_company, stopping
from .quick import Quick

# Of this thread alone: waiting for the interpreter's lock beside it is no work. Windows counts it in steps of 16 ms.
processor_time = time.perf_counter if os.name == "nt" else time.thread_time
Run: TypeAlias = Callable[[Callable[[], None], MLModel, Priority], Awaitable[None]]
"""Gives work a turn on a lane, off the event loop, and returns when it is done."""


@dataclass(frozen=True, slots=True)
class MLBatching:
    """How predictions with one model, asked for at the same time, are put together into batches.

    ``most``          examples in a batch. A longer list, or a batch provider, is a batch of its own.
    ``wait``          seconds that the first of a batch waits for others, at most. While a batch of the model is at work nobody
                      needs to: whatever is asked for meanwhile is the next one.
    ``most_waiting``  predictions that are not answered yet, of all models together; more of them wait for room, in order.
    ``refuses``       instead refuses those, with an ``MLBusyError``.
    ``quick``         seconds: a batch of priority USER_INTERACTIVE whose like took less lately (as many examples, of the same shapes) has
                      no turn on a lane. It is computed where it is asked for, on the event loop, which is held up for so long, by one
                      batch at a time. Never so: models with custom, linked or provided parts, and networks with branches, loops, or
                      layers that make shapes out of values. 0: no batch is.

    Raises ``MLParameterError`` naming the field that cannot be.
    """

    most: int = 32
    wait: float = 0.0
    most_waiting: int = 1024
    refuses: bool = False
    quick: float = 0.0005

    def __post_init__(self) -> None:
        for name in ("most", "most_waiting"):
            given = getattr(self, name)
            if isinstance(given, bool) or not isinstance(given, int) or given < 1:
                raise MLParameterError(f"batching: {name}: expected a whole number of at least 1, got {given!r}")
        for name in ("wait", "quick"):
            given = getattr(self, name)
            if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given < inf:
                raise MLParameterError(f"batching: {name}: expected seconds, 0 or more, got {given!r}")
        if not isinstance(self.refuses, bool):
            raise MLParameterError(f"batching: refuses: expected True or False, got {self.refuses!r}")


@dataclass(eq=False, slots=True)
class _Asked:
    """One prediction.

    ``weight``  the part of a batch that it takes, in examples; ``apart``: it is a batch of its own, and takes all of one.
    ``since``   when it came, on the event loop's clock.
    ``gone``    nobody waits for its answer any more.
    """

    data: Any
    weight: int
    apart: bool
    since: float
    outcome: Any = None
    failure: Exception | None = None
    waits: bool = True
    gone: bool = False
    answered: anyio.Event = field(default_factory=anyio.Event)

    def close(self) -> None:
        """Lets who waits have what there is."""
        if self.outcome is None and self.failure is None:
            self.failure = _closed()
        self.answered.set()


def _closed() -> MLTaskStateError:
    return MLTaskStateError("prediction: expected a runtime that stays open until it is made, got one that was closed")


class _Line:
    """Predictions that wait for the next batch; ``examples`` are in them."""

    def __init__(self) -> None:
        self.examples = 0
        self.moved = anyio.Event()
        self._waiting: deque[_Asked] = deque()

    def put(self, asked: _Asked) -> None:
        self._waiting.append(asked)
        self.examples += asked.weight
        self.moved.set()

    def leave(self, asked: _Asked) -> None:
        """Nobody waits for it any more. Its place is cleared when it comes to the front."""
        asked.gone = True
        if asked.waits:
            asked.data = None
            self.examples -= asked.weight
            self.moved.set()

    def first(self) -> _Asked:
        """The one that has waited longest, where there is any."""
        while self._waiting[0].gone:
            self._waiting.popleft()
        return self._waiting[0]

    def take(self, most: int) -> list[_Asked]:
        """The next batch, in order: as many as fit."""
        batch: list[_Asked] = []
        while self.examples and (asked := self.first()).weight <= most:
            batch.append(self._waiting.popleft())
            asked.waits = False
            self.examples -= asked.weight
            most -= asked.weight
        return batch


class PredictionBatches:
    """The predictions of a runtime, batch by batch, at work in ``group``: of one model and priority one batch at a time."""

    def __init__(self, batching: MLBatching, group: TaskGroup, run: Run) -> None:
        self._batching = batching
        self._group = group
        self._run = run
        self._room = anyio.Semaphore(batching.most_waiting)
        self._one_quick = anyio.Lock()
        self._quick: WeakKeyDictionary[MLModel, Quick] = WeakKeyDictionary()
        self._lines: dict[tuple[MLModel, Priority], _Line] = {}

    async def prediction(self, model: MLModel, data: Any, priority: Priority) -> Any:
        """``model.predict(data)``, together with others. Raises what that raises, and ``MLBusyError`` where there is no room."""
        await anyio.lowlevel.checkpoint_if_cancelled()  # asyncio's cancellations are slower than answers that come at once, each time
        try:
            self._room.acquire_nowait()
        except anyio.WouldBlock:
            if self._batching.refuses:
                most = self._batching.most_waiting
                raise MLBusyError(f"prediction: expected no more than {most} that wait, got one more") from None
            await self._room.acquire()
        try:
            return await self._answer(model, data, priority)
        finally:
            self._room.release()

    async def _answer(self, model: MLModel, data: Any, priority: Priority) -> Any:
        line = self._lines.get((model, priority))
        if line is None:
            line = _Line()
            try:
                self._group.start_soon(self._serve, line, model, priority)
            except RuntimeError as error:
                raise _closed() from error
            self._lines[model, priority] = line
        count, most = _examples(data), self._batching.most
        asked = _Asked(data, most if count > most else max(1, int(count)), count > most, anyio.current_time())
        line.put(asked)
        try:
            await asked.answered.wait()
        except anyio.get_cancelled_exc_class():
            line.leave(asked)
            raise
        if asked.failure is not None:
            raise asked.failure
        return asked.outcome

    async def _serve(self, line: _Line, model: MLModel, priority: Priority) -> None:
        """Batch after batch, until nobody waits."""
        try:
            while line.examples:
                await self._gather(line)
                await self._together(line.take(self._batching.most), model, priority)
        finally:
            del self._lines[model, priority]
            while line.examples:  # where this was interrupted
                for asked in line.take(self._batching.most):
                    asked.close()

    async def _gather(self, line: _Line) -> None:
        """Waits for a full batch, but not for longer than the first of it may."""
        waited = self._batching.wait == 0
        while not waited and 0 < line.examples < self._batching.most:
            line.moved = anyio.Event()
            with anyio.move_on_after(line.first().since + self._batching.wait - anyio.current_time()) as scope:
                await line.moved.wait()
            waited = scope.cancelled_caught

    async def _together(self, batch: Sequence[_Asked], model: MLModel, priority: Priority) -> None:
        try:
            if batch:
                await self._made(batch, model, priority)
        except Exception as error:  # no answer's, for each keeps its own: there was no turn
            for asked in batch:
                asked.failure = error
        finally:
            for asked in batch:
                asked.close()
        await anyio.lowlevel.checkpoint()  # whoever was answered may ask again before the next batch is taken

    async def _made(self, batch: Sequence[_Asked], model: MLModel, priority: Priority) -> None:
        """Makes a batch: at once where it is taken for quick, otherwise in its turn."""
        quick = self._quick.get(model)
        if quick is None:
            self._quick[model] = quick = Quick(self._batching.quick)
        kind: Hashable = None
        if priority is Priority.USER_INTERACTIVE and not any(asked.apart for asked in batch):
            kind = quick.kind([asked.data for asked in batch])
        seconds = 0.0

        def work() -> None:
            nonlocal seconds
            begun = processor_time()
            _answer_all(model, batch)
            seconds = processor_time() - begun
            quick.look(model)

        if quick.is_quick(kind):
            async with self._one_quick:  # others of the loop come in between
                with at_most(1):
                    work()
        else:
            await self._run(work, model, priority)
        if not any(asked.gone or asked.failure for asked in batch):  # what was not computed says nothing
            quick.took(kind, seconds)


def _examples(data: Any) -> float:
    """How many examples there are, where that can be told at no cost; infinitely many where they are a batch already."""
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return len(data)
    return inf if hasattr(data, "features_at") else 1


def _answer_all(model: MLModel, batch: Sequence[_Asked]) -> None:
    """Answers each of ``batch`` as if it were alone, or keeps what that raises. Left where nobody waits any more."""
    batch = [asked for asked in batch if not asked.gone]
    apart = any(asked.apart for asked in batch)
    with nullcontext() if apart else in_any_company(), stopping(lambda: all(asked.gone for asked in batch)):
        for asked in batch if len(batch) == 1 else _answered_together(model, batch):
            try:
                asked.outcome = model.predict(asked.data)
            except Exception as error:
                asked.failure = error


def _answered_together(model: MLModel, batch: Sequence[_Asked]) -> list[_Asked]:
    """Answers those of ``batch`` that it can together; gives back those that were in company that failed."""
    answers: dict[_Asked, tuple[list[Any], bool]] = {}
    alone: dict[_Asked, None] = {}
    alike: dict[Hashable, list[tuple[_Asked, int, Columns]]] = {}
    for asked in batch:
        try:
            rows, single = model._rows(asked.data)
            parts = list(model._inputs.grouped(rows, single))
        except Exception as error:  # who does not fit does not join
            asked.failure = error
            continue
        answers[asked] = [None] * len(rows), single
        for numbers, columns in parts:
            for place, number in enumerate(numbers):
                example = {name: column[place : place + 1] for name, column in columns.items()}
                alike.setdefault(_kind(example), []).append((asked, number, example))
    for examples in alike.values():
        columns = {name: _joined([example[name] for _, _, example in examples]) for name in examples[0][2]}
        try:
            made = model._answered(columns, [None] * len(examples))
        except Exception:  # told by the one whose it is, when it is done alone
            alone.update(dict.fromkeys(asked for asked, _, _ in examples))
            continue
        for (asked, number, _), answer in zip(examples, made, strict=True):
            answers[asked][0][number] = answer
    for asked, (found, single) in answers.items():
        if asked not in alone:
            asked.outcome = found[0] if single else found
    return list(alone)


def _kind(example: Columns) -> Hashable:
    """Examples of one kind can be stacked."""
    return tuple((name, type(column), getattr(column[0], "shape", None)) for name, column in example.items())


def _joined(parts: Sequence[Column]) -> Column:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return [value for part in parts for value in part]
