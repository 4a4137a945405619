"""Parts of an array: slices with steps, masks and dropped axes; slices of a given size; all windows along an axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bounds import check_elements
from ..op import Array, Attributes, Decode, Op, Reading, Shape, from_the_end
from .axes import from_end, one_more
from .whole import row, whole

_Cut = tuple[slice | int, ...]


def cut_backward(g: Array, x: Array, cut: Any) -> Array:
    """The gradient of ``x[cut]``: ``g`` in its place, 0 around it."""
    dx = np.zeros_like(x)
    dx[cut] = g
    return dx


def legacy_slice(x: Array, *, axis: int, start: int, end: int, stride: int) -> Array:
    """``x`` from ``start`` up to ``end`` along ``axis``, -3, -2 or -1; below 0 places count from the end, and an end of 0 is the end."""
    part: Array = x[_legacy_cut(axis, start, end, stride)]
    return part


def legacy_slice_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], axis: int, start: int, end: int, stride: int
) -> tuple[Array | None, ...]:
    """The gradient of ``legacy_slice``."""
    return (cut_backward(g, x, _legacy_cut(axis, start, end, stride)) if needs[0] else None,)


def _legacy_cut(axis: int, start: int, end: int, stride: int) -> Any:
    return (..., slice(start, end or None, stride), *(slice(None),) * (-axis - 1))


def legacy_slice_shape(x: Shape, *, axis: int, start: int, end: int, stride: int) -> Shape:
    """The shape rule of ``legacy_slice``. Raises ``ValueError`` where nothing would be left, or there is no such axis."""
    place = from_end(axis, len(x)) + len(x)
    left = len(range(x[place])[start : end or None : stride])
    if not left:
        raise ValueError(f"expected something from {start} to {end} along axis {axis}, got an input of shape {list(x)}")
    return (*x[:place], left, *x[place + 1 :])


def _read_legacy_slice(params: Any, decode: Decode) -> Reading:
    axis, stride = int(params.axis), int(params.stride)
    if axis not in (0, 1, 2):
        raise ValueError(f"axis: expected one of 0 (channel), 1 (height), 2 (width), got {axis}")
    if stride < 1:
        raise ValueError(f"stride: expected a positive number, got {stride}")
    return Reading({"axis": axis - 3, "start": int(params.startIndex), "end": int(params.endIndex), "stride": stride}, {})


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where to cut each axis of an example.

    A mask set in ``from_start`` or ``to_end`` takes the place of its number; one in ``dropped`` takes the single
    place ``begin`` and drops the axis. Of ``end``, ``steps`` and the masks only as many count as there are axes.
    """

    begin: tuple[int, ...]
    end: tuple[int, ...]
    steps: tuple[int, ...]
    from_start: tuple[bool, ...] = ()
    to_end: tuple[bool, ...] = ()
    dropped: tuple[bool, ...] = ()

    def cut(self, x: Shape, examples: int = 0) -> _Cut:
        """What to index an array of shape ``x`` with.

        Raises ``ValueError`` where numbers are missing, a step is 0, or a single place is outside.
        """
        own = x[examples:]
        if len(self.begin) != len(own):
            raise ValueError(f"beginIds: expected {len(own)} numbers for an input of shape {list(own)}, got {list(self.begin)}")
        return (*(slice(None),) * examples, *(self._along(axis, size) for axis, size in enumerate(own)))

    def _along(self, axis: int, size: int) -> slice | int:
        begin = self.begin[axis]
        if _flag(self.dropped, axis):
            if not -size <= begin < size:
                raise ValueError(f"beginIds: expected a place from {-size} to {size - 1} along axis {axis}, got {begin}")
            return begin
        step = self.steps[axis] if axis < len(self.steps) else 0
        if step == 0:
            raise ValueError(f"strides: expected a number other than 0 for axis {axis}, got {list(self.steps)}")
        if _flag(self.to_end, axis):
            end = None
        elif axis < len(self.end):
            end = self.end[axis]
        else:
            raise ValueError(f"endIds: expected a number for axis {axis}, got {list(self.end)}")
        return slice(None if _flag(self.from_start, axis) else begin, end, step)

    def shape(self, x: Shape, examples: int = 0) -> Shape:
        """The shape of what is cut out of an array of shape ``x``."""
        cuts = zip(x, self.cut(x, examples), strict=True)
        return tuple(len(range(size)[part]) for size, part in cuts if isinstance(part, slice))


def _flag(mask: tuple[bool, ...], axis: int) -> bool:
    return axis < len(mask) and mask[axis]


def slice_static(x: Array, *, bounds: Bounds, examples: int = 0) -> Array:
    """``x`` cut as ``bounds`` says, behind the ``examples`` leading axes."""
    return np.asarray(x[bounds.cut(x.shape, examples)], like=x)


def slice_static_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], bounds: Bounds, examples: int = 0
) -> tuple[Array | None, ...]:
    """The gradient of ``slice_static``."""
    return (cut_backward(g, x, bounds.cut(x.shape, examples)) if needs[0] else None,)


def slice_static_shape(x: Shape, *, bounds: Bounds, examples: int = 0) -> Shape:
    """The shape rule of ``slice_static``; see ``Bounds.cut`` for what it raises."""
    return bounds.shape(x, examples)


def _read_bounds(params: Any, begin: tuple[int, ...]) -> Bounds:
    masks = (params.beginMasks, params.endMasks, params.squeezeMasks)
    from_start, to_end, dropped = (tuple(bool(one) for one in mask) for mask in masks)
    ends, steps = tuple(int(one) for one in params.endIds), tuple(int(one) for one in params.strides)
    return Bounds(begin, ends, steps, from_start, to_end, dropped)


def _read_slice_static(params: Any, decode: Decode) -> Reading:
    bounds = _read_bounds(params, tuple(int(one) for one in params.beginIds))
    if not len(bounds.begin) == len(bounds.end) == len(bounds.steps):
        raise ValueError(
            f"expected as many beginIds, endIds and strides, got {list(bounds.begin)}, {list(bounds.end)} and {list(bounds.steps)}"
        )
    if 0 in bounds.steps:
        raise ValueError(f"strides: expected numbers other than 0, got {list(bounds.steps)}")
    return Reading({"bounds": bounds}, {})


def slice_dynamic(x: Array, begin: Array, *others: Array, bounds: Bounds) -> Array:
    """``x`` cut as ``bounds`` says, with its fields replaced by the values of the inputs that there are.

    ``others``: ends, steps, masks for the start, for the end, and for dropped axes, in this order.
    """
    return np.asarray(x[_replaced(bounds, (begin, *others)).cut(x.shape)])


def slice_dynamic_backward(
    g: Array, y: Array, x: Array, begin: Array, *others: Array, needs: tuple[bool, ...], bounds: Bounds
) -> tuple[Array | None, ...]:
    """The gradient of ``slice_dynamic``; what says where to cut has none."""
    dx = cut_backward(g, x, _replaced(bounds, (begin, *others)).cut(x.shape)) if needs[0] else None
    return (dx, None, *(None for _ in others))


_NUMBERS, _MASKS = ("beginIds", "endIds", "strides"), ("beginMasks", "endMasks", "squeezeMasks")


def _replaced(bounds: Bounds, inputs: tuple[Array, ...]) -> Bounds:
    numbers = [row(values, name) for name, values in zip(_NUMBERS, inputs, strict=False)]
    masks = [tuple(bool(one) for one in values.reshape(-1)) for values in inputs[3:]]
    begin, end, steps = (*numbers, *(bounds.begin, bounds.end, bounds.steps)[len(numbers) :])
    from_start, to_end, dropped = (*masks, *(bounds.from_start, bounds.to_end, bounds.dropped)[len(masks) :])
    return Bounds(begin, end, steps, from_start, to_end, dropped)


def _slice_dynamic_shape(x: Shape, *others: Shape, bounds: Bounds) -> None:
    if not 1 <= len(others) <= 6:
        raise ValueError(f"expected 2 to 7 inputs, got {len(others) + 1}")
    for name, shape in zip((*_NUMBERS, *_MASKS), others, strict=False):
        if shape != (len(x),):
            raise ValueError(f"{name}: expected {len(x)} numbers for an input of shape {list(x)}, got shape {list(shape)}")


def _read_slice_dynamic(params: Any, decode: Decode) -> Reading:
    return Reading({"bounds": _read_bounds(params, ())}, {})


def slice_by_size(x: Array, begin: Array, *, axis: int, size: int) -> Array:
    """``size`` places of ``x`` along ``axis``, from the one number in ``begin``, which below 0 counts from the end.

    Raises ``ValueError`` where they do not lie inside.
    """
    return x[_sized_cut(x, begin, axis, size)]


def slice_by_size_backward(
    g: Array, y: Array, x: Array, begin: Array, *, needs: tuple[bool, ...], axis: int, size: int
) -> tuple[Array | None, ...]:
    """The gradient of ``slice_by_size``; where to begin has none."""
    return (cut_backward(g, x, _sized_cut(x, begin, axis, size)) if needs[0] else None, None)


def _sized_cut(x: Array, begin: Array, axis: int, size: int) -> _Cut:
    place = from_end(axis, x.ndim) + x.ndim
    length = x.shape[place]
    start = int(whole(begin.reshape(-1), -length, length - size, "a beginning")[0])
    start += length if start < 0 else 0
    if start + size > length:
        raise ValueError(f"expected {size} places along axis {axis} of shape {list(x.shape)}, got them from {start} on")
    return (*(slice(None),) * place, slice(start, start + size))


def slice_by_size_shape(x: Shape, begin: Shape, *, axis: int, size: int) -> Shape:
    """The shape rule of ``slice_by_size``. Raises ``ValueError`` where the axis is shorter than ``size``."""
    place = from_end(axis, len(x)) + len(x)
    if x[place] < size or begin not in ((1,), ()):
        raise ValueError(
            f"expected {size} places or more along axis {axis} and one beginning, got inputs of shapes {list(x)} and {list(begin)}"
        )
    return (*x[:place], size, *x[place + 1 :])


def _read_slice_by_size(params: Any, decode: Decode) -> Reading:
    if params.size < 1:
        raise ValueError(f"size: expected a positive number, got {params.size}")
    return Reading({"axis": int(params.axis), "size": int(params.size)}, {})


def sliding_windows(x: Array, *, axis: int, size: int, step: int) -> Array:
    """All windows of ``size`` along ``axis``, ``step`` apart: ``[..., L, ...]`` -> ``[..., M, size, ...]``."""
    shape = sliding_windows_shape(x.shape, axis=axis, size=size, step=step)
    check_elements(shape)
    place = from_end(axis, x.ndim) + x.ndim
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=place)
    return np.moveaxis(windows[(*(slice(None),) * place, slice(None, None, step))], -1, place + 1).copy()


def sliding_windows_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], axis: int, size: int, step: int
) -> tuple[Array | None, ...]:
    """The gradient of ``sliding_windows``: the windows added where they came from."""
    if not needs[0]:
        return (None,)
    place = from_end(axis, x.ndim) + x.ndim
    dx = np.zeros_like(x)
    into, arriving = np.moveaxis(dx, place, 0), np.moveaxis(g, (place, place + 1), (0, 1))
    count = arriving.shape[0]
    for at in range(size):
        into[at : at + (count - 1) * step + 1 : step] += arriving[:, at]
    return (dx,)


def sliding_windows_shape(x: Shape, *, axis: int, size: int, step: int) -> Shape:
    """The shape rule of ``sliding_windows``. Raises ``ValueError`` where the axis is shorter than a window."""
    place = from_end(axis, len(x)) + len(x)
    if x[place] < size:
        raise ValueError(f"expected {size} places or more along axis {axis}, got an input of shape {list(x)}")
    return (*x[:place], (x[place] - size) // step + 1, size, *x[place + 1 :])


def _read_sliding_windows(params: Any, decode: Decode) -> Reading:
    size, step = int(params.windowSize), int(params.step)
    if size < 1 or step < 1:
        raise ValueError(f"expected a positive windowSize and step, got {size} and {step}")
    return Reading({"axis": int(params.axis), "size": size, "step": step}, {})


def _axis_batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes:
    return {**attributes, "axis": from_end(attributes["axis"], ranks[0])}


OPS = (
    Op("slice", legacy_slice, legacy_slice_shape, _read_legacy_slice, legacy_slice_backward, from_the_end, portable=True),
    Op("sliceStatic", slice_static, slice_static_shape, _read_slice_static, slice_static_backward, one_more, portable=True),
    Op("sliceDynamic", slice_dynamic, _slice_dynamic_shape, _read_slice_dynamic, slice_dynamic_backward),
    Op("sliceBySize", slice_by_size, slice_by_size_shape, _read_slice_by_size, slice_by_size_backward),
    Op(
        "slidingWindows",
        sliding_windows,
        sliding_windows_shape,
        _read_sliding_windows,
        sliding_windows_backward,
        _axis_batched,
        portable=True,
    ),
)
