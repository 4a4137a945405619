"""Lists of numbers in a model's message, read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tailor.kernels import Array

from ..errors import MLFormatError
from ..format import read_floats


def read_numbers(message: Any, field: str, where: str, expected: int, what: str) -> Array:
    """The list ``field`` of ``message``, float64 ``[expected]``; ``what`` says in errors what each of them belongs to.

    Raises ``MLFormatError``, beginning with ``where``, where there are more or fewer.
    """
    numbers = read_floats(message, field, where)
    if len(numbers) != expected:
        raise MLFormatError(f"{where}: expected {expected} numbers, {what}, got {len(numbers)}")
    return numbers


def read_rows(messages: Sequence[Any], field: str, where: str) -> Array:
    """The list ``field`` of each message as a row of a matrix, float64; without messages ``[0, 0]``.

    Raises ``MLFormatError``, beginning with ``where``, where rows differ in length.
    """
    rows = [read_floats(message, field, f"{where}[{place}]") for place, message in enumerate(messages)]
    for place, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise MLFormatError(f"{where}[{place}]: expected {len(rows[0])} numbers, as the first has, got {len(row)}")
    return np.stack(rows) if rows else np.zeros((0, 0))


def check_finite(numbers: Array, where: str) -> Array:
    """``numbers``, or ``MLFormatError``, beginning with ``where``, where one is infinite or NaN."""
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        place = [int(axis) for axis in np.argwhere(wrong)[0]]
        raise MLFormatError(f"{where}: expected finite numbers, got {numbers[tuple(place)]} at {place}")
    return numbers
