"""In how many parts a step is done. Whoever does a part, and how many there are, does not change its bits."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from .records import LANES, Cell, Kind
from .step import Step

PANELS = 192 << 10
"""Bytes of panels that a part of a product works through for every tile: they stay in a core's second cache."""

PRODUCT_WORK = 1_000_000
"""Multiply-adds in a part of a product, roughly: some 20 microseconds."""

ELEMENTS = 1 << 14
"""Elements in a part of anything else, roughly."""

EACH = 6
"""Parts for each thread, at most, unless the panels ask for more: whoever comes late, or is held up, does fewer."""

FEWEST = 12
"""Pixels in a part of a product, at least."""


MEETING = 50_000
"""Multiply-adds in a part of a turn of a recurrent layer, at least: a few microseconds, after which threads meet."""

MOST_MET = 8
"""Parts of a turn, at most: each has a counter."""

ROWS, ROWS_EACH = 4, 16
"""Rows in a part that goes through time alone: so many at least, for each reads all panels; more than so many do not make it faster."""


def parts(step: Step, count: int, threads: int) -> tuple[int, int, int]:
    """Parts of a step for ``count`` examples and ``threads``; in how many parts its channels or units are done; in how many turns."""
    fields = step.fields
    if step.kind is Kind.PRODUCT:
        return *_product(fields, count, threads), 1
    if step.kind is Kind.RECURRENT:
        return _recurrent(fields, count, threads)
    units, elements = _units(step.kind, fields)
    return max(1, min(count * units, count * units * elements // ELEMENTS, EACH * threads)), 1, 1


def _recurrent(fields: Mapping[str, Any], count: int, threads: int) -> tuple[int, int, int]:
    """Rows through all of time where there are enough for all threads; else units, if a turn is long enough to meet after it."""
    rows, size = count * fields["batch"], fields["size"]
    mates = max(1, threads // fields["ways"])
    if rows < ROWS * mates:
        split = min(mates, MOST_MET, -(-size // LANES), rows * fields["gates"] * size * size // MEETING)
        if split > 1:
            return split, split, fields["steps"] * (2 if fields["code"] == Cell.GRU else 1)
    return max(1, min(rows // ROWS, max(mates, min(rows // ROWS_EACH, EACH * mates)))), 1, 1


def _product(fields: Mapping[str, Any], count: int, threads: int) -> tuple[int, int]:
    blocks = -(-fields["channels"] // LANES)
    images, pixels = count * fields["lead"], fields["rows"] * fields["cols"]
    units, pixels = (fields["outer"] * images, pixels) if fields["apart"] else (fields["outer"], pixels * images)
    panel = fields["taps"] * fields["depth"] * LANES
    channel_parts = min(blocks, max(1, blocks * panel * 4 // PANELS))
    wanted = min(max(1, units * pixels * blocks * panel // PRODUCT_WORK), EACH * threads)
    pixel_parts = max(1, min(-(-wanted // (units * channel_parts)), pixels // FEWEST))
    if units * channel_parts * pixel_parts < wanted:
        channel_parts = min(blocks, -(-wanted // (units * pixel_parts)))
    return units * channel_parts * pixel_parts, channel_parts


def _units(kind: Kind, fields: Mapping[str, Any]) -> tuple[int, int]:
    """Units of work for an example, and the elements in each."""
    if kind is Kind.POOL:
        return fields["lead"] * fields["rows"], fields["cols"] * fields["channels"] * fields["kernel_high"] * fields["kernel_wide"]
    if kind is Kind.PACK:
        return fields["outer"], fields["depth"] * fields["channels"]
    if kind is Kind.BORDER:
        high = fields["rows"] + fields["top"] + fields["bottom"]
        return fields["lead"] * high, (fields["left"] + fields["right"]) * fields["y_col"]
    size = fields["size"]
    if kind is Kind.COPY:
        return prod(size[:-2]), size[-2] * size[-1]
    return prod(size[:-1]), (4 if kind is Kind.NORM else 1) * size[-1]
