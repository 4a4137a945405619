"""A program: steps over memory that one call of a compiled loop goes through, alone or with others."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from math import prod
from typing import Protocol

import numpy as np

from ..jit import HAVE_NUMBA
from ..op import Array, Shape
from .parts import parts
from .records import COUNTERS, RECORDS, Kind
from .step import Step

SLACK = 64
"""Elements beyond the end of memory that tiles may read, and room to begin at a cache line."""


class Crew(Protocol):
    """Who runs a program, and where its memory comes from."""

    def gather(self, work: Callable[[int], object]) -> None:
        """Calls ``work(threads)`` in this thread, and at the same time in up to ``threads - 1`` others that are free."""

    def empty(self, shape: Shape) -> Array:
        """A float32 array, C order, whose elements are not set."""


@dataclass(frozen=True)
class Program:
    """Steps and where their operands lie: ``slots`` addresses, of which ``arena`` begin so far (an example) in the run's memory.

    Any number of threads may run it at once, each with memory of its own.
    """

    steps: tuple[Step, ...]
    offsets: Array
    slots: int
    arena: Mapping[int, int]
    size: int
    constants: Mapping[int, Array]
    inputs: tuple[int, ...]
    outputs: tuple[tuple[int, Shape], ...]
    _orders: dict[tuple[int, int], Array] = field(default_factory=dict, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<Program of {len(self.steps)} steps, {4 * self.size} bytes an example>"

    @cached_property
    def _records(self) -> tuple[tuple[Array, ...], tuple[tuple[int, int], ...]]:
        """The records, and of each step the addresses of its kernel and its record."""
        from .kernels import kernel

        records, places = [], []
        for step in self.steps:
            record = np.zeros(1, RECORDS[step.kind])
            for name, value in step.fields.items():
                record[name] = value
            records.append(record)
            code = int(step.fields["code"]) if step.kind is Kind.MAP else 0
            places.append((kernel(step.kind, code), record.ctypes.data))
        return tuple(records), tuple(places)

    def _order(self, count: int, threads: int) -> Array:
        """What the loop goes through, for so many examples and threads."""
        known = self._orders.get((count, threads))
        if known is None:
            order = np.zeros((len(self.steps), 6), np.int64)
            for place, (step, addresses) in enumerate(zip(self.steps, self._records[1], strict=True)):
                number, split, turns = parts(step, count, threads)
                order[place] = (*addresses, number, split, step.wait, turns)
            order[-1:, 4] = 1
            if len(self._orders) >= 8:
                self._orders.clear()
            known = self._orders[(count, threads)] = order
        return known

    @cached_property
    def _bases(self) -> tuple[Array, Array, Array]:
        """Addresses of the constants by slot; the slots in the run's memory, and how far into it they begin, in bytes."""
        bases = np.zeros(self.slots, np.int64)
        for slot, array in self.constants.items():
            bases[slot] = array.ctypes.data
        return bases, np.array(list(self.arena), np.int64), 4 * np.array(list(self.arena.values()), np.int64)

    def run(
        self, inputs: Sequence[Array], count: int, crew: Crew, observe: Callable[[str, Callable[[], object]], object] | None = None
    ) -> list[Array]:
        """The outputs for ``count`` examples, each with a leading axis of them.

        ``inputs``: float32, C order, a leading axis of ``count`` each. ``observe``: called once for each step, with the layer's
        name and what runs it.
        """
        fixed, slots, places = self._bases
        memory = crew.empty((self.size * count + SLACK,))
        bases = fixed.copy()
        bases[slots] = -(-memory.ctypes.data // 64) * 64 + places * count
        given = [_float32(array) for array in inputs]
        for slot, array in zip(self.inputs, given, strict=True):
            bases[slot] = array.ctypes.data
        outputs = []
        for slot, shape in self.outputs:
            answer = np.empty(prod(shape) * count + SLACK, np.float32)
            bases[slot] = answer.ctypes.data
            outputs.append(answer[: prod(shape) * count].reshape(count, *shape))
        from .kernels import loop

        run = loop()
        if observe is None:
            counters = np.zeros(COUNTERS * len(self.steps), np.int64)
            crew.gather(lambda threads: run(self._order(count, threads), self.offsets, bases, count, counters))
            return outputs
        for place, step in enumerate(self.steps):
            counters = np.zeros(COUNTERS, np.int64)

            def work(threads: int, place: int = place, counters: Array = counters) -> object:
                one = self._order(count, threads)[place : place + 1].copy()
                one[0, 4] = 1
                return run(one, self.offsets, bases, count, counters)

            observe(step.label, partial(crew.gather, work))
        return outputs


def _float32(array: Array) -> Array:
    return np.ascontiguousarray(array, np.float32)


def linger(number: Array, seen: int, looks: int) -> None:
    """Looks at ``number``, int64 ``[1]``, until it is another than ``seen``, ``looks`` times at most; lets other threads run."""
    from . import kernels

    kernels.linger()(number.ctypes.data, seen, looks)


@lru_cache(maxsize=1)
def can_run() -> bool:
    """Whether programs can be run: where Numba is, works, and is not switched off (see ``jit``)."""
    if not HAVE_NUMBA:
        return False
    try:
        from . import kernels  # noqa: F401
    except ImportError as error:
        warnings.warn(f"Numba cannot be imported, NumPy is used instead: {error}", RuntimeWarning, stacklevel=2)
        return False
    return True
