"""Layers that repeat what they are given: tile, sequenceRepeat, and broadcasting to a shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bounds import check_elements
from ..op import Array, Attributes, Decode, Op, Reading, Shape, from_the_end
from .aligned import aligned_shape, unbroadcast
from .axes import one_more
from .channels import check_rank
from .rows import every_element
from .sizes import check_sizes, sizes
from .whole import row


def tile(x: Array, counts: Array | None = None, *, reps: tuple[int, ...]) -> Array:
    """``x`` as often along its last axes as ``reps`` says, or the values of ``counts`` do.

    Raises ``ValueError`` where there are more repetitions than axes.
    """
    often = _repetitions(x.shape, reps if counts is None else row(counts, "repetitions"))
    check_elements([size * n for size, n in zip(x.shape, often, strict=True)])
    return np.tile(x, often)


def tile_backward(
    g: Array, y: Array, x: Array, counts: Array | None = None, *, needs: tuple[bool, ...], reps: tuple[int, ...]
) -> tuple[Array | None, ...]:
    """The gradient of ``tile``: the sum over the repetitions."""
    dx = None
    if needs[0]:
        often = [of_y // of_x if of_x else 1 for of_y, of_x in zip(y.shape, x.shape, strict=True)]
        apart = g.reshape([size for pair in zip(often, x.shape, strict=True) for size in pair])
        dx = apart.sum(axis=tuple(range(0, 2 * x.ndim, 2)))
    return (dx,) if counts is None else (dx, None)


def _repetitions(x: Shape, reps: tuple[int, ...]) -> tuple[int, ...]:
    if not 1 <= len(reps) <= len(x) or min(reps) < 1:
        raise ValueError(f"reps: expected 1 to {len(x)} positive numbers for an input of shape {list(x)}, got {list(reps)}")
    return (*(1,) * (len(x) - len(reps)), *reps)


def _tile_shape(x: Shape, counts: Shape | None = None, *, reps: tuple[int, ...]) -> Shape | None:
    if counts is None:
        return tuple(size * n for size, n in zip(x, _repetitions(x, reps), strict=True))
    check_sizes(counts)
    if not 1 <= counts[0] <= len(x):
        raise ValueError(f"reps: expected 1 to {len(x)} numbers for an input of shape {list(x)}, got {counts[0]}")
    return None


def _tile_batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes | None:
    return attributes if len(ranks) == 1 else None


def _read_tile(params: Any, decode: Decode) -> Reading:
    return Reading({"reps": tuple(int(n) for n in params.reps)}, {})


def sequence_repeat(x: Array, *, times: int) -> Array:
    """The sequence of ``x`` ``[..., S, B, C, H, W]``, whole, ``times`` times."""
    check_elements(sequence_repeat_shape(x.shape, times=times))
    return np.tile(x, (times, 1, 1, 1, 1))


def sequence_repeat_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], times: int) -> tuple[Array | None, ...]:
    """The gradient of ``sequence_repeat``: the sum over the repetitions."""
    if not needs[0]:
        return (None,)
    return (g.reshape(*x.shape[:-5], times, *x.shape[-5:]).sum(axis=-6),)


def sequence_repeat_shape(x: Shape, *, times: int) -> Shape:
    """The shape rule of ``sequence_repeat``. Raises ``ValueError`` below 5 axes."""
    check_rank(x, 5)
    return (*x[:-5], x[-5] * times, *x[-4:])


def _read_sequence_repeat(params: Any, decode: Decode) -> Reading:
    return Reading({"times": int(params.nRepetitions) or 1}, {})


def broadcast_to_like(x: Array, like: Array, *, examples: int = 0) -> Array:
    """``x`` repeated to the shape of ``like``, whose values do not matter."""
    return _spread(x, like.shape, examples)


def broadcast_to_static(x: Array, *, shape: Shape, examples: int = 0) -> Array:
    """``x`` repeated to ``shape``, behind the ``examples`` leading axes."""
    return _spread(x, (*x.shape[:examples], *shape), examples)


def broadcast_to_dynamic(x: Array, shape: Array) -> Array:
    """``x`` repeated to the shape that the values of ``shape`` are."""
    return _spread(x, sizes(shape), 0)


def broadcast_backward(
    g: Array, y: Array, x: Array, *others: Array, needs: tuple[bool, ...], examples: int = 0, shape: Shape = ()
) -> tuple[Array | None, ...]:
    """The gradient of the three: the sum over what was repeated. What says the shape has none."""
    dx = unbroadcast(g, aligned_shape(x.shape, g.ndim, examples), x.shape) if needs[0] else None
    return (dx, *(None for _ in others))


def _spread(x: Array, shape: Shape, examples: int) -> Array:
    _check_spread(x.shape, shape, examples)
    check_elements(shape)
    return np.broadcast_to(x.reshape(aligned_shape(x.shape, len(shape), examples)), shape).copy()


def _check_spread(x: Shape, shape: Shape, examples: int) -> Shape:
    lifted = aligned_shape(x, len(shape), examples)
    if len(lifted) != len(shape) or any(size not in (1, to) for size, to in zip(lifted, shape, strict=True)):
        raise ValueError(f"expected an input that can be broadcast to shape {list(shape[examples:])}, got shape {list(x[examples:])}")
    return shape


def _like_shape(x: Shape, like: Shape, *, examples: int = 0) -> Shape:
    return _check_spread(x, like, examples)


def _static_shape(x: Shape, *, shape: Shape, examples: int = 0) -> Shape:
    return _check_spread(x, (*x[:examples], *shape), examples)


def _dynamic_shape(x: Shape, shape: Shape) -> None:
    check_sizes(shape)
    if shape[0] < len(x):
        raise ValueError(f"shape: expected {len(x)} sizes or more for an input of shape {list(x)}, got {shape[0]}")


def _read_target(params: Any, decode: Decode) -> Reading:
    shape = tuple(int(size) for size in params.targetShape)
    if not shape or min(shape) < 1:
        raise ValueError(f"targetShape: expected one or more positive sizes, got {list(shape)}")
    return Reading({"shape": shape}, {})


def _read_nothing(params: Any, decode: Decode) -> Reading:
    return Reading({}, {})


OPS = (
    Op("tile", tile, _tile_shape, _read_tile, tile_backward, _tile_batched, portable=True),
    Op(
        "sequenceRepeat",
        sequence_repeat,
        sequence_repeat_shape,
        _read_sequence_repeat,
        sequence_repeat_backward,
        from_the_end,
        portable=True,
    ),
    Op("broadcastToLike", broadcast_to_like, _like_shape, _read_nothing, broadcast_backward, one_more, every_element, portable=True),
    Op("broadcastToStatic", broadcast_to_static, _static_shape, _read_target, broadcast_backward, one_more, portable=True),
    Op("broadcastToDynamic", broadcast_to_dynamic, _dynamic_shape, _read_nothing, broadcast_backward),
)
