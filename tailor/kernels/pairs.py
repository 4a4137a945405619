"""Each row of one matrix with each column of another: products and squared distances.

An element is summed up in the order of the numbers, one after the other, so a row's answers have the same bits whatever
rows are given with it, which a BLAS does not promise. Whoever has vectors to compare with keeps them as columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .jit import Kernel, jit, plain
from .op import Array

BLOCK = 256  # columns at a time: what is added up stays near
SMALL = 1 << 17  # products; of fewer, NumPy is done before Numba is imported


def products(x: Array, columns: Array) -> NDArray[np.float64]:
    """The dot product of each row of ``x`` ``[n, d]`` with each of ``columns`` ``[d, m]``, both float64: float64 ``[n, m]``."""
    return _run(_products, x, columns)


def squared_distances(x: Array, columns: Array) -> NDArray[np.float64]:
    """The squared Euclidean distance of each row of ``x`` ``[n, d]`` from each of ``columns`` ``[d, m]``: float64 ``[n, m]``.

    They are sums of squared differences, so that equal vectors are at distance 0.
    """
    return _run(_distances, x, columns)


def _run(kernel: Kernel[..., Any], x: Array, columns: Array) -> NDArray[np.float64]:
    out = np.zeros((len(x), columns.shape[1]))
    call = kernel if x.size * columns.shape[1] > SMALL else kernel.twin
    call(plain(x), plain(columns), out)
    return out


def _products_numpy(x: Array, columns: Array, out: Array) -> None:
    if len(columns) < columns.shape[1]:
        for place, numbers in enumerate(columns):
            out += x[:, place, None] * numbers
    else:
        for place in range(columns.shape[1]):
            out[:, place] += np.cumsum(x * columns[:, place], axis=1)[:, -1]  # unlike sum, one after the other


@jit(twin=_products_numpy)
def _products(x: Array, columns: Array, out: Array) -> None:
    for start in range(0, out.shape[1], BLOCK):
        stop = min(start + BLOCK, out.shape[1])
        for row in range(len(x)):
            answers = out[row, start:stop]
            for place in range(x.shape[1]):
                number, others = x[row, place], columns[place, start:stop]
                for column in range(len(answers)):
                    answers[column] += number * others[column]


def _distances_numpy(x: Array, columns: Array, out: Array) -> None:
    if len(columns) < columns.shape[1]:
        for place, numbers in enumerate(columns):
            out += np.square(x[:, place, None] - numbers)
    else:
        for place in range(columns.shape[1]):
            out[:, place] += np.cumsum(np.square(x - columns[:, place]), axis=1)[:, -1]


@jit(twin=_distances_numpy)
def _distances(x: Array, columns: Array, out: Array) -> None:
    for start in range(0, out.shape[1], BLOCK):
        stop = min(start + BLOCK, out.shape[1])
        for row in range(len(x)):
            answers = out[row, start:stop]
            for place in range(x.shape[1]):
                number, others = x[row, place], columns[place, start:stop]
                for column in range(len(answers)):
                    difference = number - others[column]
                    answers[column] += difference * difference
