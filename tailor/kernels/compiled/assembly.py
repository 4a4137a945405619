"""Putting a program together: values are placed in memory, steps are added, and in the end the memory is shared out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf, prod
from typing import Any, TypeAlias

import numpy as np

from ..op import Array, Shape
from .program import Program
from .records import AXES, LANES, Cell, Function, Kind, Norm
from .step import Step
from .views import NO_BORDER, Border, Buffer, View, Where, c_order, merged, same_order

Packed: TypeAlias = dict[Any, tuple[Array, tuple[Array, ...]]]
"""Weights as programs want them, and what they were made of; plans of one graph share them."""


class Assembly:
    """A program under construction.

    ``borders``: how many zeros around it the users of a value want. ``homes``: values that are part of a longer one along the
    channels (``concat``): its name, where they begin in it, and its shape. ``packed``: panels that were made before, by weights.
    """

    def __init__(
        self,
        borders: Mapping[str, Border],
        homes: Mapping[str, tuple[str, int, Shape]],
        packed: Packed,
    ) -> None:
        self.label = ""
        self._borders, self._homes, self._packed = borders, homes, packed
        self._buffers: list[Buffer] = []
        self._steps: list[Step] = []
        self._offsets: list[int] = []
        self._tables: dict[tuple[int, ...], int] = {}
        self._waits = 0
        self._placed: dict[str, View] = {}
        self._inputs: list[Buffer] = []
        self._nothing = self.constant(np.zeros(LANES, np.float32))

    # Values

    def _buffer(self, where: Where, size: int, array: Array | None = None) -> Buffer:
        buffer = Buffer(where, len(self._buffers), size, array)
        self._buffers.append(buffer)
        return buffer

    def input(self, shape: Shape) -> View:
        """A value that a run is given, in C order."""
        buffer = self._buffer(Where.INPUT, prod(shape))
        self._inputs.append(buffer)
        return View(buffer, shape, c_order(shape))

    def constant(self, array: Array) -> View:
        """A value that never changes, readable ``LANES`` elements beyond its end."""
        held = np.zeros(array.size + LANES, np.float32)
        held[: array.size] = array.reshape(-1)
        return View(self._buffer(Where.CONSTANT, array.size, held), array.shape, c_order(array.shape))

    def packed(self, key: tuple[object, ...], make: Callable[..., Array], *sources: Array) -> View:
        """``make(*sources)`` as a constant, made once for each ``key`` and ``sources``."""
        name = (*key, *map(id, sources))
        known = self._packed.get(name)
        if known is None:  # the sources are kept too, lest another array get the number of one
            known = self._packed[name] = (np.ascontiguousarray(make(*sources), np.float32), sources)
        return View(self._buffer(Where.CONSTANT, known[0].size, known[0]), known[0].shape, c_order(known[0].shape))

    def new(self, shape: Shape) -> View:
        """Fresh memory in C order."""
        return View(self._buffer(Where.ARENA, prod(shape)), shape, c_order(shape))

    def new_image(self, shape: Shape, border: Border = NO_BORDER) -> View:
        """Fresh memory for ``[..., C, H, W]`` with the channels closest, and zeros around each image."""
        *lead, channels, rows, cols = shape
        top, bottom, left, right = border
        high, wide = rows + top + bottom, cols + left + right
        outer = tuple(stride * high * wide * channels for stride in c_order(tuple(lead)))
        buffer = self._buffer(Where.ARENA, prod(lead) * high * wide * channels)
        view = View(buffer, shape, (*outer, 1, wide * channels, channels), (top * wide + left) * channels, border)
        if any(border):
            fields = {"lead": prod(lead), "rows": rows, "cols": cols, "channels": channels}
            fields |= {"top": top, "bottom": bottom, "left": left, "right": right, "y_row": wide * channels, "y_col": channels}
            self._add(Kind.BORDER, fields, {"y": (view, high * wide * channels)}, (), view, wait=False)
        return view

    def place(self, name: str, shape: Shape, image: bool) -> View:
        """Where the value ``name`` goes: into a longer value where it is part of one, else into memory of its own."""
        known = self._placed.get(name)
        if known is None:
            home = self._homes.get(name)
            if home is not None:
                whole = self.place(home[0], home[2], True)
                known = View(whole.buffer, shape, whole.strides, whole.at + home[1], whole.border)
            else:
                known = self.new_image(shape, self._borders.get(name, NO_BORDER)) if image else self.new(shape)
            self._placed[name] = known
        return known

    def like(self, name: str, view: View) -> View:
        """Where ``name`` goes that has the shape of ``view``, and had better lie as it does."""
        return self.place(name, view.shape, len(view.shape) >= 3 and view.shape[-3] > 1 and view.strides[-3] == 1)

    # Values brought into another order

    def in_order(self, view: View) -> View:
        """In C order: the value itself, or a copy."""
        if same_order(view.shape, view.strides, c_order(view.shape)):
            return view
        return self.copy(view, self.new(view.shape))

    def recast(self, view: View, shape: Shape) -> View:
        """With another shape, in C order of both."""
        found = view.recast(shape)
        if found is None:
            found = self.in_order(view).recast(shape)
            assert found is not None
        return found

    def as_image(self, view: View, border: Border = NO_BORDER, beyond: bool = False) -> View:
        """With the channels closest, and at least so many zeros around; ``beyond``: it is read a little beyond its end."""
        readable = not beyond or view.buffer.where is not Where.INPUT
        closest = view.strides[-3] == 1 or view.shape[-3] == 1
        enough = all(there >= wanted for there, wanted in zip(view.border, border, strict=True))
        if readable and closest and enough and self._lead(view) is not None:
            return view
        return self.copy(view, self.new_image(view.shape, border))

    def _lead(self, view: View) -> tuple[int, int] | None:
        """How many images an example has, and how far they lie apart; ``None`` where that is not one distance."""
        sizes, (strides,) = merged(view.shape[:-3], view.strides[:-3])
        if not sizes:
            return 1, view.image
        if len(sizes) == 1 and view.image == sizes[0] * strides[0]:
            return sizes[0], strides[0]
        return None

    def lead(self, view: View) -> tuple[int, int]:
        """``_lead`` of what ``as_image`` gave."""
        found = self._lead(view)
        assert found is not None
        return found

    # Steps

    def _add(
        self,
        kind: Kind,
        fields: Mapping[str, Any],
        operands: Mapping[str, tuple[View, int]],
        reads: Sequence[View],
        writes: View,
        wait: bool = True,
    ) -> None:
        numbers = dict(fields)
        for name, (view, image) in operands.items():
            numbers |= {name: view.buffer.slot, f"{name}_at": view.at, f"{name}_image": image}
        self._steps.append(Step(kind, numbers, wait, self.label))
        for view in (*reads, writes):
            buffer = view.buffer
            buffer.first = self._waits if buffer.first < 0 else buffer.first
            buffer.last = self._waits
        self._waits += wait

    def copy(self, source: View, target: View) -> View:
        """``target``, once ``source`` is copied there."""
        axes = sorted(range(len(source.shape)), key=lambda axis: -target.strides[axis])
        sizes, (to, of) = merged([source.shape[a] for a in axes], [target.strides[a] for a in axes], [source.strides[a] for a in axes])
        if len(sizes) > 1:  # the axis that is closest in the source comes next to the last
            nearest = min(range(len(sizes) - 1), key=lambda axis: of[axis])
            for row in (sizes, to, of):
                row.insert(len(sizes) - 2, row.pop(nearest))
        fields = {"size": _six(sizes, 1), "y_stride": _six(to, 0), "x_stride": _six(of, 0)}
        self._add(Kind.COPY, fields, {"y": (target, target.image), "x": (source, source.image)}, (source,), target)
        return target

    def map(self, function: Function, target: View, *operands: View, alpha: float = 0.0, beta: float = 0.0) -> View:
        """``target``, once it is the function of the operands, which are repeated to its shape."""
        spread = [operand.spread(target.shape) for operand in operands]
        axes = sorted(range(len(target.shape)), key=lambda axis: -target.strides[axis])
        turned = [[view.strides[a] for a in axes] for view in (target, *spread)]
        shape = [target.shape[a] for a in axes]
        sizes, strides = merged(shape, *turned)
        if not sizes or strides[0][-1] != 1:
            sizes, strides = [*sizes, 1], [[*row, 1] for row in strides]
        for place, full in enumerate(spread):
            if strides[place + 1][-1] not in (0, 1):
                apart = self.copy(full, self.new(full.shape) if target.strides[-1:] == (1,) else self.new_image(full.shape))
                return self.map(function, target, *operands[:place], apart, *operands[place + 1 :], alpha=alpha, beta=beta)
        fields: dict[str, Any] = {
            "code": int(function),
            "alpha": alpha,
            "beta": beta,
            "size": _six(sizes, 1),
            "y_stride": _six(strides[0], 0),
        }
        names = "abc"[: len(operands)]
        fields |= {f"{name}_stride": _six(row, 0) for name, row in zip(names, strides[1:], strict=True)}
        places = {name: (view, view.image) for name, view in zip(names, spread, strict=True)}
        self._add(Kind.MAP, fields, {"y": (target, target.image), **places}, spread, target)
        return target

    def norm(self, kind: Norm, target: View, source: View, epsilon: float = 0.0) -> View:
        """``target``, once each row of ``source`` along the last axis is made even; that axis lies in one piece in both."""
        sizes, (to, of) = merged(source.shape[:-1], target.strides[:-1], source.strides[:-1])
        fields = {"code": int(kind), "epsilon": epsilon, "size": _six([*sizes, source.shape[-1]], 1)}
        fields |= {"y_stride": _six([*to, 1], 0), "x_stride": _six([*of, 1], 0)}
        self._add(Kind.NORM, fields, {"y": (target, target.image), "x": (source, source.image)}, (source,), target)
        return target

    def pool(self, target: View, source: View, counts: Array | None, **windows: int) -> View:
        """``target``, once it holds the maxima, or the sums over ``counts``, of the windows of ``source``; both are images."""
        lead, image = self.lead(source)
        assert source.buffer.where is not Where.INPUT  # windows are read a little beyond the last channel
        divisors = self._nothing if counts is None else self.constant(np.asarray(counts, np.float32))
        fields = {"lead": lead, "channels": source.shape[-3], "maximum": int(counts is None), "counts": divisors.buffer.slot, **windows}
        fields |= {"rows": target.shape[-2], "cols": target.shape[-1], "height": source.shape[-2], "width": source.shape[-1]}
        fields |= {"x_row": source.strides[-2], "x_col": source.strides[-1], "y_row": target.strides[-2], "y_col": target.strides[-1]}
        self._add(Kind.POOL, fields, {"x": (source, image), "y": (target, self.lead(target)[1])}, (source, divisors), target)
        return target

    def pack(self, source: View, outer: int, outer_stride: int) -> View:
        """Panels of ``outer`` matrices ``[K, N]``, the last two axes of ``source``: ``[outer, panels, K, LANES]``."""
        depth, channels = source.shape[-2:]
        blocks = -(-channels // LANES)
        target = self.new((outer, blocks, depth, LANES))
        fields = {"outer": outer, "depth": depth, "channels": channels, "x_outer": outer_stride, "y_outer": blocks * depth * LANES}
        fields |= {"x_deep": source.strides[-2], "x_channel": source.strides[-1]}
        self._add(Kind.PACK, fields, {"x": (source, source.image), "y": (target, target.image)}, (source,), target)
        return target

    def product(
        self,
        target: View,
        source: View,
        panels: View,
        *,
        taps: Sequence[int],
        depth: int,
        channels: int,
        pixels: tuple[int, int],
        steps: Mapping[str, tuple[int, int, int]],
        images: tuple[int, int, int] = (1, 0, 0),
        bias: View | None = None,
        bias_outer: int = 0,
        other: View | None = None,
        other_image: int = 0,
        outer: int = 1,
        panels_outer: int = 0,
        limits: tuple[float, float] = (-inf, inf),
        each: bool = False,
        apart: bool = False,
    ) -> View:
        """``target``, once it is the product.

        ``taps``: offsets of what is multiplied from where a pixel begins, in elements. ``steps``: of ``x``, ``y`` and ``z`` (what is
        added), strides from one group, row and column to the next. ``images``: how many an example has, and their distance in the source
        and in the target. ``apart``: each image has panels of its own.
        """
        bias = bias or self._nothing_for(channels * outer)
        third = other or target
        offsets = tuple(4 * tap for tap in taps)
        if offsets not in self._tables:
            self._tables[offsets] = len(self._offsets)
            self._offsets.extend(offsets)
        fields: dict[str, Any] = {"lead": images[0], "outer": outer, "rows": pixels[0], "cols": pixels[1], "offsets": self._tables[offsets]}
        fields |= {"taps": len(offsets), "depth": depth, "channels": channels, "each": int(each), "apart": int(apart)}
        fields |= {"adds": int(other is not None), "low": limits[0], "high": limits[1], "w_outer": panels_outer, "bias_outer": bias_outer}
        for name in "xyz":
            across = steps.get(name, steps["y"])
            fields |= {f"{name}_outer": across[0], f"{name}_row": across[1], f"{name}_col": across[2]}
        operands = {
            "x": (source, images[1]),
            "w": (panels, panels.image if apart else 0),
            "bias": (bias, 0),
            "y": (target, images[2]),
            "z": (third, other_image if other is not None else images[2]),
        }
        reads = (source, panels, bias) if other is None else (source, panels, bias, other)
        self._add(Kind.PRODUCT, fields, operands, reads, target)
        return target

    def recurrent(self, cell: Cell, target: View, operands: Mapping[str, View], wait: bool, **fields: Any) -> View:
        """``target``, once it holds the answers of all steps in time; ``operands`` and ``fields`` as ``RECURRENT`` has them.

        Where the next step is one like it on other operands, it need not ``wait``.
        """
        steps = {f"{name}_step": view.strides[-5] for name, view in (("a", operands["a"]), ("y", target))}
        rows = {f"{name}_row": view.strides[-4] for name, view in (*operands.items(), ("y", target)) if name not in "wp"}
        places = {name: (view, view.image) for name, view in (*operands.items(), ("y", target))}
        self._add(Kind.RECURRENT, {"code": int(cell), **steps, **rows, **fields}, places, tuple(operands.values()), target, wait)
        return target

    def _nothing_for(self, channels: int) -> View:
        if self._nothing.buffer.size < channels:
            self._nothing = self.constant(np.zeros(channels + LANES, np.float32))
        return self._nothing

    # The end

    def finish(self, outputs: Sequence[View]) -> Program:
        """The program that answers with ``outputs``, each in C order."""
        self.label = ""
        answers = []
        for view in outputs:
            if not (view.dense and view.buffer.where is Where.ARENA):
                view = self.copy(view, self.new(view.shape))
            view.buffer.where = Where.OUTPUT
            answers.append(view)
        where, size = _shared_out([b for b in self._buffers if b.where is Where.ARENA and b.first >= 0])
        return Program(
            steps=tuple(self._steps),
            offsets=np.array(self._offsets or [0], np.int64),
            slots=len(self._buffers),
            arena=where,
            size=size,
            constants={b.slot: b.array for b in self._buffers if b.array is not None},
            inputs=tuple(b.slot for b in self._inputs),
            outputs=tuple((view.buffer.slot, view.shape) for view in answers),
        )


def _shared_out(buffers: Sequence[Buffer]) -> tuple[dict[int, int], int]:
    """Where each buffer begins in the memory that they share, and how large that is: large ones first, at the lowest free place."""
    taken: list[tuple[int, int, Buffer]] = []
    for buffer in sorted(buffers, key=lambda b: -b.size):
        size = -(-buffer.size // LANES) * LANES
        begin = 0
        for start, end, other in sorted(taken, key=lambda entry: entry[0]):
            if other.last < buffer.first or buffer.last < other.first:
                continue
            if begin + size <= start:
                break
            begin = max(begin, end)
        taken.append((begin, begin + size, buffer))
    return {buffer.slot: begin for begin, _, buffer in taken}, max((end for _, end, _ in taken), default=0)


def _six(values: Sequence[int], filled: int) -> list[int]:
    return [filled] * (AXES - len(values)) + list(values)
