"""Vectors brought to a length of 1."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from .op import Array

Norm: TypeAlias = Literal["max", "L1", "L2"]


def normalized(rows: Array, norm: Norm) -> Array:
    """``rows`` ``[count, n]``, each divided by its norm, as float64; one whose norm is 0 stays as it is.

    The norm ``max`` is the largest number, not the largest magnitude: negative where all numbers are.
    """
    rows = np.ascontiguousarray(rows, np.float64)  # sums of rows are in one order, however they came
    if not rows.shape[1]:
        return rows
    if norm == "max":
        lengths = rows.max(axis=1)
    elif norm == "L1":
        lengths = np.abs(rows).sum(axis=1)
    else:
        lengths = np.sqrt((rows * rows).sum(axis=1))
    return rows / np.where(lengths == 0, 1.0, lengths)[:, None]
