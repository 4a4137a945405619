"""More around an array, or less: padding of images, constant padding of any axis, cropping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..bounds import MOST_ELEMENTS, check_elements
from ..op import Array, Attributes, Decode, Op, Reading, Shape, from_the_end
from ..window import Amounts, Pair
from .channels import check_rank
from .whole import whole

CONSTANT, REFLECTION, REPLICATION = "constant", "reflection", "replication"


def padding(x: Array, *, kind: str, value: float, amounts: Amounts) -> Array:
    """``x`` ``[..., H, W]`` with ``amounts`` (top, bottom, left, right) of pixels around it.

    ``kind``: ``"constant"`` (they are ``value``), ``"reflection"`` (the pixels behind the border, which itself is not
    repeated), ``"replication"`` (the pixel at the border).
    """
    shape = _padding_shape(x.shape, kind=kind, value=value, amounts=amounts)
    if kind != CONSTANT:
        rows, cols = _sources(x, kind, amounts)
        return x.take(rows, axis=-2).take(cols, axis=-1)
    out = np.full_like(x, value, order="C", shape=shape)
    out[_middle(x.shape, amounts)] = x
    return out


def padding_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], kind: str, value: float, amounts: Amounts
) -> tuple[Array | None, ...]:
    """The gradient of ``padding``: a pixel gets that of all its copies."""
    if not needs[0]:
        return (None,)
    if kind == CONSTANT:
        return (g[_middle(x.shape, amounts)].copy(),)
    sources = zip(x.shape[-2:], _sources(x, kind, amounts), strict=True)
    rows, cols = ((at[:, None] == np.arange(size, like=x)).astype(g.dtype) for size, at in sources)
    return (rows.T @ (g @ cols),)


def _middle(x: Shape, amounts: Amounts) -> tuple[Any, ...]:
    return (..., slice(amounts[0], amounts[0] + x[-2]), slice(amounts[2], amounts[2] + x[-1]))


def _sources(x: Array, kind: str, amounts: Amounts) -> tuple[Array, Array]:
    """Which row and which column of ``x`` each row and column of the answer is."""
    size = x.shape[-2:]
    rows, cols = (np.arange(-before, n + after, like=x) for n, before, after in zip(size, amounts[::2], amounts[1::2], strict=True))
    if kind == REPLICATION:
        return rows.clip(0, size[0] - 1), cols.clip(0, size[1] - 1)
    rows, cols = np.abs(rows), np.abs(cols)
    return np.minimum(rows, 2 * (size[0] - 1) - rows), np.minimum(cols, 2 * (size[1] - 1) - cols)


def _padding_shape(x: Shape, *, kind: str, value: float, amounts: Amounts) -> Shape:
    check_rank(x, 2)
    top, bottom, left, right = amounts
    shape = (*x[:-2], x[-2] + top + bottom, x[-1] + left + right)
    check_elements(shape)
    most = {REFLECTION: 1, REPLICATION: 0}.get(kind)
    if most is not None and any(max(pair) and size <= max(pair) * most for size, pair in ((x[-2], (top, bottom)), (x[-1], (left, right)))):
        raise ValueError(f"expected a {kind} of fewer pixels than the image has, got {list(amounts)} for shape {list(x)}")
    return shape


def _read_padding(params: Any, decode: Decode) -> Reading:
    kind = params.WhichOneof("PaddingType")
    if kind not in (CONSTANT, REFLECTION, REPLICATION):
        raise ValueError(f"PaddingType: expected one of constant, reflection and replication, got {kind or 'none'}")
    value = float(params.constant.value) if kind == CONSTANT else 0.0
    return Reading({"kind": kind, "value": value, "amounts": read_border(params.paddingAmounts, "paddingAmounts")}, {})


def read_border(message: Any, name: str) -> Amounts:
    """A ``BorderAmounts`` message: top, bottom, left and right, 0 where it is not set."""
    borders = [(int(edge.startEdgeSize), int(edge.endEdgeSize)) for edge in message.borderAmounts]
    if len(borders) not in (0, 2):
        raise ValueError(f"{name}: expected two pairs, height and width, got {len(borders)}")
    (top, bottom), (left, right) = borders or [(0, 0), (0, 0)]
    return top, bottom, left, right


def constant_pad(x: Array, *given: Array, value: float, amounts: tuple[int, ...], to_size: bool) -> Array:
    """``x`` with ``value`` before and after it along every axis.

    ``amounts``, or else the second input, ``[2 * rank]``: before and after the first axis, before and after the second,
    and so on. ``to_size``: they are not how much is added but the size to reach, at one end or the other of each axis.
    """
    pairs = _pairs(x.shape, _given(given[0]) if given else amounts, to_size)
    shape = _padded(x.shape, pairs)
    check_elements(shape)
    out = np.full_like(x, value, order="C", shape=shape)
    out[_inner(x.shape, pairs)] = x
    return out


def constant_pad_backward(
    g: Array, y: Array, x: Array, *given: Array, needs: tuple[bool, ...], value: float, amounts: tuple[int, ...], to_size: bool
) -> tuple[Array | None, ...]:
    """The gradient of ``constant_pad``; amounts that are an input have none."""
    pairs = _pairs(x.shape, _given(given[0]) if given else amounts, to_size)
    return (g[_inner(x.shape, pairs)].copy() if needs[0] else None, *(None for _ in given))


def _given(values: Array) -> tuple[int, ...]:
    return tuple(int(amount) for amount in whole(values.reshape(-1), 0, MOST_ELEMENTS, "amounts"))


def _pairs(x: Shape, amounts: Sequence[int], to_size: bool) -> list[Pair]:
    """How much is added before and after each axis."""
    if len(amounts) != 2 * len(x):
        raise ValueError(f"expected {2 * len(x)} amounts, two an axis of shape {list(x)}, got {len(amounts)}")
    pairs = list(zip(amounts[::2], amounts[1::2], strict=True))
    if not to_size:
        return pairs
    for before, after in pairs:
        if before and after:
            raise ValueError(f"expected a size to reach at one end of an axis, got {before} and {after}")
    return [
        (max(0, before - size) if before else 0, max(0, after - size) if after else 0)
        for size, (before, after) in zip(x, pairs, strict=True)
    ]


def _padded(x: Shape, pairs: Sequence[Pair]) -> Shape:
    return tuple(before + size + after for size, (before, after) in zip(x, pairs, strict=True))


def _inner(x: Shape, pairs: Sequence[Pair]) -> tuple[slice, ...]:
    return tuple(slice(before, before + size) for size, (before, _) in zip(x, pairs, strict=True))


def _constant_pad_shape(x: Shape, *given: Shape, value: float, amounts: tuple[int, ...], to_size: bool) -> Shape | None:
    if given:
        if np.prod(given[0]) != 2 * len(x):
            raise ValueError(f"expected {2 * len(x)} amounts, two an axis of shape {list(x)}, got shape {list(given[0])}")
        return None
    shape = _padded(x, _pairs(x, amounts, to_size))
    check_elements(shape)
    return shape


def _constant_pad_batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes | None:
    # amounts of their own make examples of different shapes
    return {**attributes, "amounts": (0, 0, *attributes["amounts"])} if len(ranks) == 1 else None


def _read_constant_pad(params: Any, decode: Decode) -> Reading:
    amounts = tuple(int(amount) for amount in params.padAmounts)
    return Reading({"value": float(params.value), "amounts": amounts, "to_size": bool(params.padToGivenOutputSizeMode)}, {})


def crop(x: Array, *like: Array, amounts: Amounts, offset: Pair) -> Array:
    """``x`` ``[..., H, W]`` without ``amounts`` (top, bottom, left, right) of pixels; with a second input, as high and wide
    as that one, from ``offset`` (row, column) on."""
    kept: Array = x[_window(x.shape, *(other.shape for other in like), amounts=amounts, offset=offset)]
    return kept.copy()


def crop_backward(
    g: Array, y: Array, x: Array, *like: Array, needs: tuple[bool, ...], amounts: Amounts, offset: Pair
) -> tuple[Array | None, ...]:
    """The gradient of ``crop``: 0 where it was cut off. Of the second input only the shape counts."""
    dx = None
    if needs[0]:
        dx = np.zeros_like(x)
        dx[_window(x.shape, *(other.shape for other in like), amounts=amounts, offset=offset)] = g
    return (dx, *(np.zeros_like(other) if need else None for other, need in zip(like, needs[1:], strict=True)))


def _window(x: Shape, *like: Shape, amounts: Amounts, offset: Pair) -> tuple[Any, ...]:
    """What of ``x`` is kept. Raises ``ValueError`` where that is nothing, or more than there is."""
    check_rank(x, 2)
    if like:
        if len(like[0]) != len(x):
            raise ValueError(f"expected two inputs of the same rank, got shapes {list(x)} and {list(like[0])}")
        starts, ends = offset, (offset[0] + like[0][-2], offset[1] + like[0][-1])
    else:
        starts, ends = (amounts[0], amounts[2]), (x[-2] - amounts[1], x[-1] - amounts[3])
    for name, start, end, size in zip(("rows", "columns"), starts, ends, x[-2:], strict=True):
        if not 0 <= start < end <= size:
            raise ValueError(f"expected {name} within the {size} of the input {list(x)}, got those from {start} to {end}")
    return (..., slice(starts[0], ends[0]), slice(starts[1], ends[1]))


def _crop_shape(x: Shape, *like: Shape, amounts: Amounts, offset: Pair) -> Shape:
    _, rows, cols = _window(x, *like, amounts=amounts, offset=offset)
    return (*x[:-2], rows.stop - rows.start, cols.stop - cols.start)


def _read_crop(params: Any, decode: Decode) -> Reading:
    offset = tuple(int(value) for value in params.offset) or (0, 0)
    if len(offset) != 2:
        raise ValueError(f"offset: expected two numbers, height and width, got {list(offset)}")
    return Reading({"amounts": read_border(params.cropAmounts, "cropAmounts"), "offset": offset}, {})


OPS = (
    Op("padding", padding, _padding_shape, _read_padding, padding_backward, from_the_end, portable=True),
    Op("constantPad", constant_pad, _constant_pad_shape, _read_constant_pad, constant_pad_backward, _constant_pad_batched, portable=True),
    Op("crop", crop, _crop_shape, _read_crop, crop_backward, from_the_end, portable=True),
)
