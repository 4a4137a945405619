"""The table of ops: the rows of all families, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from .layers import (
    activation,
    boxes,
    broadcast,
    convolution,
    convolution3d,
    crop_resize,
    draw,
    elementwise,
    fill,
    gather,
    gru,
    linear,
    logic,
    lstm,
    masks,
    matmul,
    normalize,
    order,
    padding,
    pooling,
    pooling3d,
    reduce,
    reorganize,
    repeat,
    resample,
    reshape,
    reverse,
    scatter,
    shape,
    simple_recurrent,
    slice,
    split,
    standardize,
    unary,
)
from .op import Op


def join(*families: Iterable[Op]) -> Mapping[str, Op]:
    """All rows by name. Raises ``ValueError`` where two have one name."""
    table: dict[str, Op] = {}
    for family in families:
        for op in family:
            if op.name in table:
                raise ValueError(f"op {op.name!r}: expected one row, got two")
            table[op.name] = op
    return MappingProxyType(table)


OPS: Mapping[str, Op] = join(
    activation.OPS,
    boxes.OPS,
    broadcast.OPS,
    convolution.OPS,
    convolution3d.OPS,
    crop_resize.OPS,
    draw.OPS,
    elementwise.OPS,
    fill.OPS,
    gather.OPS,
    gru.OPS,
    linear.OPS,
    logic.OPS,
    lstm.OPS,
    masks.OPS,
    matmul.OPS,
    normalize.OPS,
    order.OPS,
    padding.OPS,
    pooling.OPS,
    pooling3d.OPS,
    reduce.OPS,
    reorganize.OPS,
    repeat.OPS,
    resample.OPS,
    reshape.OPS,
    reverse.OPS,
    scatter.OPS,
    shape.OPS,
    simple_recurrent.OPS,
    slice.OPS,
    split.OPS,
    standardize.OPS,
    unary.OPS,
)
