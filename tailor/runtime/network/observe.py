"""Watching networks run: how long each step took and what it made. Costs one question a run when nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import local
from time import perf_counter
from typing import TypeAlias

from tailor.kernels import Shape


@dataclass(frozen=True, slots=True)
class Step:
    """One step that has been run: a layer, several that run as one, or (``kind`` ``"model"``) a whole model of a pipeline.

    ``name``, ``kind``      of its first layer; ``inputs`` and ``outputs`` are the values that go in and come out.
    ``seconds``             from its beginning to its end, on the clock on the wall.
    ``examples``            how many it was done for; all numbers below are of all of them.
    ``shapes``              of the outputs, of one example.
    ``made``, ``weights``   bytes of its outputs, and of its weights.
    ``work``                multiply-adds, roughly.
    ``held``                bytes of all values that the run had in hand when the step ended.
    """

    name: str
    kind: str
    seconds: float
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    examples: int = 1
    shapes: tuple[Shape, ...] = ()
    made: int = 0
    weights: int = 0
    work: int = 0
    held: int = 0


Take: TypeAlias = Callable[[tuple[str, ...], Step], None]
"""Called with the names of the models that the step is in, from the outermost pipeline inwards, and the step."""


class Watch:
    """Who is told of steps.

    A node of several layers that can run them one by one asks ``watched()`` and tells of each; it is not told of itself
    then. Members of a team tell at the same time: ``take`` must bear that.
    """

    def __init__(self, take: Take, models: tuple[str, ...] = ()) -> None:
        self.take = take
        self.models = models
        self._told = local()

    def told(self) -> int:
        """How many steps this thread has told of."""
        return int(getattr(self._told, "count", 0))

    def tell(self, step: Step) -> None:
        """Hands on one step that has been run."""
        self._told.count = self.told() + 1
        self.take(self.models, step)


_watch: ContextVar[Watch | None] = ContextVar("tailor_watch", default=None)


@contextmanager
def watching(take: Take) -> Iterator[None]:
    """What networks do inside is told to ``take``, step by step, by whichever thread did it."""
    token = _watch.set(Watch(take))
    try:
        yield
    finally:
        _watch.reset(token)


@contextmanager
def model_watched(name: str) -> Iterator[None]:
    """What is run inside is the model ``name`` of a pipeline; it is told as a step when it has ended."""
    outer = _watch.get()
    if outer is None:
        yield
        return
    token = _watch.set(Watch(outer.take, (*outer.models, name)))
    begin = perf_counter()
    try:
        yield
    finally:
        seconds = perf_counter() - begin
        _watch.reset(token)
        outer.tell(Step(name, "model", seconds))


def watched() -> Watch | None:
    """The innermost ``watching`` of this context."""
    return _watch.get()
