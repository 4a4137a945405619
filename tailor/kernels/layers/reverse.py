"""Layers that turn axes round: whole ones, or a stretch of a length of its own for each row."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..op import Array, Attributes, Decode, Op, Reading, Shape
from .axes import from_end, one_more
from .whole import whole


def reverse(x: Array, *, turned: tuple[bool, ...], examples: int = 0) -> Array:
    """``x`` with the axes turned round that are marked in ``turned``, behind the ``examples`` leading ones."""
    places = tuple(examples + place for place, turn in enumerate(turned) if turn)
    return np.flip(x, places)


def reverse_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], turned: tuple[bool, ...], examples: int = 0
) -> tuple[Array | None, ...]:
    """The gradient of ``reverse``: turned back."""
    return (reverse(g, turned=turned, examples=examples) if needs[0] else None,)


def reverse_shape(x: Shape, *, turned: tuple[bool, ...], examples: int = 0) -> Shape:
    """The shape rule of ``reverse``. Raises ``ValueError`` where there is not one mark an axis."""
    if len(turned) != len(x) - examples:
        raise ValueError(f"reverseDim: expected {len(x) - examples} marks for an input of shape {list(x[examples:])}, got {len(turned)}")
    return x


def _read_reverse(params: Any, decode: Decode) -> Reading:
    return Reading({"turned": tuple(bool(turn) for turn in params.reverseDim)}, {})


def reverse_seq(x: Array, lengths: Array, *, batch_axis: int, sequence_axis: int) -> Array:
    """``x`` with the first ``lengths[b]`` places along ``sequence_axis`` turned round, for each b along ``batch_axis``.

    Raises ``ValueError`` for a length below 0 or beyond the axis.
    """
    time = x.shape[sequence_axis]
    ends = _lifted(whole(lengths, 0, time, "lengths"), x, batch_axis)
    places = np.arange(time).reshape(-1, *(1,) * (-1 - from_end(sequence_axis, x.ndim)))
    sources = np.where(places < ends, ends - 1 - places, places)
    return np.take_along_axis(x, np.broadcast_to(sources, x.shape), axis=sequence_axis)


def _lifted(lengths: Array, x: Array, batch_axis: int) -> Array:
    """``[..., B]``, to broadcast against ``x``, whose leading axes are those of ``lengths``."""
    lead = lengths.shape[:-1]
    behind = -1 - from_end(batch_axis, x.ndim)
    return lengths.reshape(*lead, *(1,) * (x.ndim - len(lead) - 1 - behind), lengths.shape[-1], *(1,) * behind)


def reverse_seq_backward(
    g: Array, y: Array, x: Array, lengths: Array, *, needs: tuple[bool, ...], batch_axis: int, sequence_axis: int
) -> tuple[Array | None, ...]:
    """The gradient of ``reverse_seq``: turned back the same way; lengths have none."""
    return (reverse_seq(g, lengths, batch_axis=batch_axis, sequence_axis=sequence_axis) if needs[0] else None, None)


def reverse_seq_shape(x: Shape, lengths: Shape, *, batch_axis: int, sequence_axis: int) -> Shape:
    """The shape rule of ``reverse_seq``. Raises ``ValueError`` where there is not one length a row."""
    batch, sequence = from_end(batch_axis, len(x)), from_end(sequence_axis, len(x))
    if batch == sequence:
        raise ValueError(f"expected a batch axis that is not the sequence axis, got {batch_axis} and {sequence_axis}")
    if not lengths or lengths[-1] != x[batch]:
        raise ValueError(f"expected {x[batch]} lengths, one a place along axis {batch_axis} of shape {list(x)}, got shape {list(lengths)}")
    return x


def _reverse_seq_batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes:
    return {name: from_end(attributes[name], ranks[0]) for name in ("batch_axis", "sequence_axis")}


def _read_reverse_seq(params: Any, decode: Decode) -> Reading:
    return Reading({"batch_axis": int(params.batchAxis), "sequence_axis": int(params.sequenceAxis)}, {})


OPS = (
    Op("reverse", reverse, reverse_shape, _read_reverse, reverse_backward, one_more, portable=True),
    Op("reverseSeq", reverse_seq, reverse_seq_shape, _read_reverse_seq, reverse_seq_backward, _reverse_seq_batched),
)
