"""Layers that keep a band of each matrix in the last two axes, and put zeros elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from .channels import check_rank


def band(x: Array, *, lower: int | None, upper: int | None) -> Array:
    """``x`` at row m and column n where m - n <= ``lower`` and n - m <= ``upper``, else 0; ``None`` bounds nothing."""
    rows, columns = x.shape[-2:]
    below = np.arange(rows, like=x)[:, np.newaxis] - np.arange(columns, like=x)
    kept = (below <= (rows if lower is None else lower)) & (-below <= (columns if upper is None else upper))
    return np.where(kept, x, np.zeros((), x.dtype, like=x))


def band_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], lower: int | None, upper: int | None
) -> tuple[Array | None, ...]:
    """The gradient of ``band``: the same band of ``g``."""
    return (band(g, lower=lower, upper=upper) if needs[0] else None,)


def _shape(x: Shape, *, lower: int | None, upper: int | None) -> Shape:
    check_rank(x, 2)
    return x


def _read_band(params: Any, decode: Decode) -> Reading:
    lower, upper = int(params.numLower), int(params.numUpper)
    return Reading({"lower": None if lower < 0 else lower, "upper": None if upper < 0 else upper}, {})


def _read_lower(params: Any, decode: Decode) -> Reading:
    return Reading({"lower": None, "upper": int(params.k)}, {})


def _read_upper(params: Any, decode: Decode) -> Reading:
    return Reading({"lower": -int(params.k), "upper": None}, {})


OPS = tuple(
    Op(name, band, _shape, read, band_backward, from_the_end, portable=True)
    for name, read in (("matrixBandPart", _read_band), ("lowerTriangular", _read_lower), ("upperTriangular", _read_upper))
)
