"""What was computed of each example, kept for the epochs to come: in memory, then in a file, then not at all."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tailor.kernels import Array, Shape

from ..models import Column, Columns

Layout = Mapping[str, tuple[Shape, np.dtype[Any]]]
"""Shape and dtype of one row of each column."""

ALIGNED = 64
"""Bytes at whose multiples the columns of a shelf begin."""

NOT_KEPT, ODD = -1, -2


class Kept:
    """Rows of columns by the number of their example, ``0 <= number < count``, each made once as far as there is room.

    ``most`` bytes are kept in memory, all rows of one shape in arrays that are made for ``count`` of them at once. What does not
    fit goes to a temporary file that is mapped into memory; it may take half of the space that is free where
    ``tempfile`` puts its files (``TMPDIR`` says where), and has no name, so that nothing stays behind whatever ends the process
    (Windows removes it when the process ends). What does not fit there either is made anew each time. Rows of other shapes
    than the first one's are kept in memory or not at all.
    """

    def __init__(self, count: int, most: int) -> None:
        self._count = count
        self._left = most
        self._places = np.full(count, NOT_KEPT, np.int64)
        self._layout: Layout = {}
        self._row = 0
        self._shelves: list[_Shelf] = []
        self._odd: dict[int, dict[str, Array]] = {}

    def __repr__(self) -> str:
        told = " and ".join(f"{shelf.used} in {shelf.where}" for shelf in self._shelves if shelf.used) or "none"
        return f"<Kept: of {self._count} examples {told}>"

    def columns(self, numbers: Array, make: Callable[[Array], Columns]) -> Columns:
        """The rows of ``numbers`` (each there once) in that order; ``make`` is asked for those that are not kept, all at once."""
        places = self._places[numbers]
        new = places == NOT_KEPT
        if not new.any():
            return self._gathered(numbers, places)
        fresh = make(numbers[new])
        self._put(numbers[new], fresh)
        if new.all():
            return fresh
        kept = self._gathered(numbers[~new], places[~new])
        return {name: _merged(new, column, kept[name]) for name, column in fresh.items()}

    def close(self) -> None:
        """Forgets everything, and gives the file back."""
        while self._shelves:
            self._shelves.pop().close()
        self._odd.clear()
        self._places[:] = NOT_KEPT

    def _gathered(self, numbers: Array, places: Array) -> Columns:
        """Rows that are kept."""
        if places.min() >= 0:
            memory = self._shelves[0]
            far = places >= memory.rows
            if not far.any():
                return memory.take(places)
            there = self._shelves[1].take(places[far] - memory.rows)
            if far.all():
                return there
            here = memory.take(places[~far])
            return {name: _merged(far, column, here[name]) for name, column in there.items()}
        rows = [self._of(number, place) for number, place in zip(numbers.tolist(), places.tolist(), strict=True)]
        return {name: _column([row[name] for row in rows]) for name in self._layout}

    def _of(self, number: int, place: int) -> Mapping[str, Array]:
        """A copy of one row that is kept; of a file, a view would lead nowhere once it is closed."""
        if place == ODD:
            return self._odd[number]
        shelf = self._shelves[0]
        if place >= shelf.rows:
            place, shelf = place - shelf.rows, self._shelves[1]
        return {name: array[place].copy() for name, array in shelf.arrays.items()}

    def _put(self, numbers: Array, columns: Columns) -> None:
        """Keeps rows, as far as there is room."""
        if not self._shelves:
            self._layout = {name: (np.shape(column[0]), np.asarray(column[0]).dtype) for name, column in columns.items()}
            self._row = _row_size(self._layout)
            self._shelves.append(_Shelf.in_memory(self._layout, min(self._count, self._left // max(1, self._row))))
        if all(isinstance(column, np.ndarray) and self._fits(name, column[0]) for name, column in columns.items()):
            self._shelve(numbers, columns)
            return
        for row, number in enumerate(numbers.tolist()):
            values = {name: np.asarray(column[row]) for name, column in columns.items()}
            size = sum(value.nbytes for value in values.values())
            if all(self._fits(name, value) for name, value in values.items()):
                self._shelve(numbers[row : row + 1], {name: value[None] for name, value in values.items()})
            elif size <= self._left:
                self._left -= size
                self._odd[number] = {name: value.copy() for name, value in values.items()}
                self._places[number] = ODD

    def _fits(self, name: str, row: Array) -> bool:
        return self._layout[name] == (row.shape, row.dtype)

    def _shelve(self, numbers: Array, columns: Mapping[str, Column]) -> None:
        """Puts rows that fit on the shelves, first into memory."""
        memory = self._shelves[0]
        room = min(len(numbers), memory.rows - memory.used, self._left // max(1, self._row))
        self._left -= room * self._row
        self._places[numbers[:room]] = memory.put(columns, 0, room)
        if room < len(numbers):
            if len(self._shelves) == 1:
                self._shelves.append(_Shelf.in_a_file(self._layout, self._count - memory.used))
            file = self._shelves[1]
            end = min(len(numbers), room + file.rows - file.used)
            self._places[numbers[room:end]] = memory.rows + file.put(columns, room, end)


@dataclass(slots=True)
class _Shelf:
    """Room for so many rows, in one piece of memory; the first ``used`` are taken."""

    where: str
    rows: int
    arrays: dict[str, Array]
    mapped: mmap.mmap | None = None
    used: int = 0

    @classmethod
    def in_memory(cls, layout: Layout, rows: int) -> _Shelf:
        try:
            return cls("memory", rows, _arrays(np.empty(_size(layout, rows), np.uint8), layout, rows))
        except MemoryError:  # there is less than was allowed
            return cls("memory", 0, {})

    @classmethod
    def in_a_file(cls, layout: Layout, rows: int) -> _Shelf:
        try:
            room = shutil.disk_usage(tempfile.gettempdir()).free // 2 - ALIGNED * len(layout)
            rows = min(rows, max(0, room) // max(1, _row_size(layout)))
            mapped = _mapped(_size(layout, rows)) if rows else None
        except OSError:  # no place for files, somebody else has taken the space, or a limit forbids it
            mapped = None
        if mapped is None:
            return cls("a file", 0, {})
        return cls("a file", rows, _arrays(mapped, layout, rows), mapped)

    def put(self, columns: Mapping[str, Column], begin: int, end: int) -> Array:
        """Takes rows ``begin`` to ``end`` of ``columns``, for which there must be room; their places."""
        places = np.arange(self.used, self.used + end - begin)
        for name, array in self.arrays.items():
            array[self.used : self.used + end - begin] = columns[name][begin:end]
        self.used += end - begin
        return places

    def take(self, places: Array) -> dict[str, Array]:
        """Copies of the rows at ``places``."""
        return {name: array[places] for name, array in self.arrays.items()}

    def close(self) -> None:
        self.arrays.clear()
        if self.mapped is not None:
            self.mapped.close()


def _row_size(layout: Layout) -> int:
    return sum(prod(shape) * dtype.itemsize for shape, dtype in layout.values())


def _size(layout: Layout, rows: int) -> int:
    """Bytes that ``rows`` need, aligned."""
    return sum(-(-rows * prod(shape) * dtype.itemsize // ALIGNED) * ALIGNED for shape, dtype in layout.values())


def _arrays(memory: Any, layout: Layout, rows: int) -> dict[str, Array]:
    """Arrays ``[rows, *shape]`` in ``memory``, one after the other."""
    arrays: dict[str, Array] = {}
    offset = 0
    for name, (shape, dtype) in layout.items():
        arrays[name] = np.ndarray((rows, *shape), dtype, memory, offset)
        offset += _size({name: (shape, dtype)}, rows)
    return arrays


def _mapped(size: int) -> mmap.mmap:
    """A new file of ``size`` bytes in memory. Its blocks are reserved: a mapped page that the disk has no room for kills the process."""
    with tempfile.TemporaryFile(prefix="tailor-") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            block = bytes(1 << 20)
            for start in range(0, size, len(block)):
                file.write(block[: size - start])
            file.flush()
        return mmap.mmap(file.fileno(), size)  # has a handle of its own


def _column(rows: list[Array]) -> Column:
    """Rows as a column: stacked where they are of one shape."""
    return np.stack(rows) if all(row.shape == rows[0].shape for row in rows) else rows


def _merged(chosen: Array, one: Column, other: Column) -> Column:
    """One column: rows of ``one`` where ``chosen`` is true, of ``other`` elsewhere."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.shape[1:] == other.shape[1:]:
        merged = np.empty((len(chosen), *one.shape[1:]), one.dtype)
        merged[chosen], merged[~chosen] = one, other
        return merged
    ones, others = iter(one), iter(other)
    return _column([np.asarray(next(ones if is_chosen else others)) for is_chosen in chosen])
