"""Layers that make values from a shape or from numbers of their own: constants, fills, ranges."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bounds import check_elements
from ..op import Array, Attributes, Decode, Op, Reading, Shape, from_the_end
from .sizes import check_number, check_sizes, read_sizes, sizes


def load_constant(data: Array) -> Array:
    """``data`` ``[C, H, W]`` as ``[1, 1, C, H, W]``."""
    return data[np.newaxis, np.newaxis]


def load_constant_backward(g: Array, y: Array, data: Array, *, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
    """The gradient of ``load_constant`` and of ``load_constant_nd``."""
    return (g.reshape(data.shape) if needs[0] else None,)


def _load_constant_shape(data: Shape) -> Shape:
    return (1, 1, *data)


def _read_load_constant(params: Any, decode: Decode) -> Reading:
    shape = tuple(int(size) for size in params.shape)
    if len(shape) != 3:
        raise ValueError(f"shape: expected three sizes, channels, height and width, got {list(shape)}")
    return _decoded(params, decode, shape)


def load_constant_nd(data: Array) -> Array:
    """``data`` as it is."""
    return data.view()


def _load_constant_nd_shape(data: Shape) -> Shape:
    return data


def _read_load_constant_nd(params: Any, decode: Decode) -> Reading:
    return _decoded(params, decode, read_sizes("shape", params.shape))


def _decoded(params: Any, decode: Decode, shape: Shape) -> Reading:
    check_elements(shape)
    return Reading({}, {"data": decode(params, "data", shape)})


def fill_like(x: Array, *, value: float) -> Array:
    """``value`` everywhere, in the shape of ``x``."""
    return np.full_like(x, value, order="C")


def fill_like_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], value: float) -> tuple[Array | None, ...]:
    """The gradient of ``fill_like``: 0, for only the shape of ``x`` is looked at."""
    return (np.zeros_like(x) if needs[0] else None,)


def _fill_like_shape(x: Shape, *, value: float) -> Shape:
    return x


def _read_value(params: Any, decode: Decode) -> Reading:
    return Reading({"value": float(params.value)}, {})


def fill_static(*, value: float, target_shape: Shape) -> Array:
    """``value`` everywhere, float32, of ``target_shape``."""
    return np.full(target_shape, value, np.float32)


def _fill_static_shape(*, value: float, target_shape: Shape) -> Shape:
    check_elements(target_shape)
    return target_shape


def _read_fill_static(params: Any, decode: Decode) -> Reading:
    return Reading({"value": float(params.value), "target_shape": read_sizes("targetShape", params.targetShape)}, {})


def fill_dynamic(x: Array, *, value: float) -> Array:
    """``value`` everywhere, in the shape that the numbers of ``x`` say."""
    return np.full(sizes(x), value, x.dtype)


def _fill_dynamic_shape(x: Shape, *, value: float) -> None:
    check_sizes(x)


def range_static(*, end: float, start: float, step: float) -> Array:
    """``start``, ``start + step`` ... before ``end``; float32."""
    return _range(np.float32(end), np.float32(start), np.float32(step))


def _range_static_shape(*, end: float, start: float, step: float) -> Shape:
    return (_count(np.float32(end), np.float32(start), np.float32(step)),)


def _read_range_static(params: Any, decode: Decode) -> Reading:
    return Reading({"end": float(params.endValue), **_read_range(params)}, {})


def range_dynamic(*inputs: Array, start: float, step: float) -> Array:
    """``range_static`` whose end is the first input, its start the second if there is one, its step the third."""
    return _range(*_ends(inputs, start, step))


def range_dynamic_backward(
    g: Array, y: Array, *inputs: Array, needs: tuple[bool, ...], start: float, step: float
) -> tuple[Array | None, ...]:
    """The gradient of ``range_dynamic``, whose numbers are start + i * step: the end only says how many."""
    found = (0.0, g.sum(), (g * np.arange(len(g), dtype=g.dtype)).sum())
    return tuple(np.full(x.shape, of_x, x.dtype) if need else None for x, of_x, need in zip(inputs, found, needs, strict=False))


def _range_dynamic_shape(*inputs: Shape, start: float, step: float) -> None:
    if not 1 <= len(inputs) <= 3:
        raise ValueError(f"expected 1 to 3 inputs, the end, the start and the step, got {len(inputs)}")
    for name, shape in zip(("end", "start", "step"), inputs, strict=False):
        check_number(name, shape)


def _read_range_dynamic(params: Any, decode: Decode) -> Reading:
    return Reading(_read_range(params), {})


def _read_range(params: Any) -> Attributes:
    return {"start": float(params.startValue), "step": float(params.stepSizeValue)}


def _ends(inputs: tuple[Array, ...], start: float, step: float) -> tuple[np.floating[Any], ...]:
    kind = inputs[0].dtype.type
    given = [x.reshape(-1)[0] for x in inputs]
    return given[0], *(given[1:] + [kind(start), kind(step)][len(given) - 1 :])


def _range(end: np.floating[Any], start: np.floating[Any], step: np.floating[Any]) -> Array:
    count = _count(end, start, step)
    return (float(start) + float(step) * np.arange(count)).astype(end.dtype)


def _count(end: np.floating[Any], start: np.floating[Any], step: np.floating[Any]) -> int:
    """How many numbers come before ``end``; divided in the precision of the ends, so that 0 to 0.7 by 0.1 are seven."""
    if not (np.isfinite(end) and np.isfinite(start) and np.isfinite(step) and step != 0):
        raise ValueError(f"expected finite ends and a step other than 0, got {start:g} to {end:g} by {step:g}")
    with np.errstate(over="ignore"):
        steps = float((end - start) / step)
    count = int(min(max(np.ceil(steps), 0), 2.0**62))  # ends that are far apart come to infinity, either way
    check_elements((count,))
    return count


OPS = (
    Op("loadConstant", load_constant, _load_constant_shape, _read_load_constant, load_constant_backward),
    Op("loadConstantND", load_constant_nd, _load_constant_nd_shape, _read_load_constant_nd, load_constant_backward),
    Op("fillLike", fill_like, _fill_like_shape, _read_value, fill_like_backward, from_the_end, portable=True),
    Op("fillStatic", fill_static, _fill_static_shape, _read_fill_static),
    Op("fillDynamic", fill_dynamic, _fill_dynamic_shape, _read_value),
    Op("rangeStatic", range_static, _range_static_shape, _read_range_static),
    Op("rangeDynamic", range_dynamic, _range_dynamic_shape, _read_range_dynamic, range_dynamic_backward),
)
