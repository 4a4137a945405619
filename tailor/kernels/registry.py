"""The table of ops: the rows of all families, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from .layers import activation, convolution, elementwise, linear, normalize, pooling, reshape
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


OPS: Mapping[str, Op] = join(activation.OPS, convolution.OPS, elementwise.OPS, linear.OPS, normalize.OPS, pooling.OPS, reshape.OPS)
