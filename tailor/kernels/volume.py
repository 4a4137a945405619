"""Windows that slide over the last three axes of an array: where they lie, and moving data into columns and back.

What ``window`` is for images. One pass over the volume a kernel element, each a strided copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np

from .bounds import check_elements
from .op import Array
from .window import SAME, VALID, split

Triple: TypeAlias = tuple[int, int, int]
Borders: TypeAlias = tuple[int, int, int, int, int, int]
"""Padding in front, behind, at the top, bottom, left and right."""

CUSTOM = "custom"
AXES = ("depth", "height", "width")


@dataclass(frozen=True, slots=True)
class Places:
    """Windows over depth, height and width.

    ``kernel``, ``stride``, ``dilation``  their size, distance, and the distance of the elements in them.
    ``begin``                             where the first lies: padding in front, above and to the left.
    ``count``                             how many there are.
    """

    kernel: Triple
    stride: Triple
    dilation: Triple
    begin: Triple
    count: Triple

    def room(self, size: Triple) -> Triple:
        """The size of a volume of ``size`` with the padding that the windows reach."""
        found = [
            max((n - 1) * s + (k - 1) * d + 1, b + length)
            for n, s, k, d, b, length in zip(self.count, self.stride, self.kernel, self.dilation, self.begin, size, strict=True)
        ]
        return found[0], found[1], found[2]

    def elements(self) -> Iterator[tuple[int, int, int, tuple[slice, slice, slice]]]:
        """Every element of the kernel, and where the windows have it in a padded volume."""
        for at in np.ndindex(self.kernel):
            starts = [i * d for i, d in zip(at, self.dilation, strict=True)]
            a, b, c = (slice(i, i + (n - 1) * s + 1, s) for i, n, s in zip(starts, self.count, self.stride, strict=True))
            yield at[0], at[1], at[2], (a, b, c)


def place(size: Triple, kernel: Triple, stride: Triple, dilation: Triple, padding: str, borders: Borders) -> Places:
    """The windows over a volume of ``size``; ``borders`` count where ``padding`` is ``"custom"``.

    Raises ``ValueError`` where no window fits, or the volume with its padding is beyond bounds. Source: the comments of
    ``Convolution3DLayerParams`` and ``Pooling3DLayerParams`` in the format's ``NeuralNetwork.proto``.
    """
    begin, count = [], []
    for axis, name in enumerate(AXES):
        span = (kernel[axis] - 1) * dilation[axis] + 1
        if padding == SAME:
            windows = -(-size[axis] // stride[axis])
            before = split(max(0, (windows - 1) * stride[axis] + span - size[axis]), SAME)
        else:
            before, after = borders[2 * axis : 2 * axis + 2] if padding == CUSTOM else (0, 0)
            windows = (size[axis] + before + after - span) // stride[axis] + 1
            if windows < 1:
                raise ValueError(f"expected a {name} of at least {span} for the kernel, got {size[axis]} and {before + after} of padding")
        begin.append(before)
        count.append(windows)
    places = Places(kernel, stride, dilation, (begin[0], begin[1], begin[2]), (count[0], count[1], count[2]))
    check_elements(places.room(size))
    return places


def spread(size: Triple, kernel: Triple, stride: Triple, dilation: Triple, padding: str, borders: Borders, output: Triple | None) -> Places:
    """The windows over the *answer* of a deconvolution, one for each element of its input of ``size``; with the answer's size, ``reach``.

    ``output`` overrides the size that the padding comes to. How much is then cut off at which end is not said: as the
    padding has it where that comes to the same size, otherwise half at either end.
    """
    begin = []
    for axis, wanted in enumerate(reach(size, kernel, stride, dilation, padding, borders, output)):
        full = (size[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1
        before, after = borders[2 * axis : 2 * axis + 2] if padding == CUSTOM else (0, 0)
        begin.append(before if padding in (CUSTOM, VALID) and full - before - after == wanted else split(max(0, full - wanted), SAME))
    return Places(kernel, stride, dilation, (begin[0], begin[1], begin[2]), size)


def reach(size: Triple, kernel: Triple, stride: Triple, dilation: Triple, padding: str, borders: Borders, output: Triple | None) -> Triple:
    """The size of a deconvolution's answer. Raises ``ValueError`` where the padding leaves nothing of an axis, or it is beyond bounds."""
    found = []
    for axis, name in enumerate(AXES):
        full = (size[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1
        before, after = borders[2 * axis : 2 * axis + 2] if padding == CUSTOM else (0, 0)
        wanted = size[axis] * stride[axis] if padding == SAME else full - before - after
        if output is not None:
            wanted = output[axis]
        if wanted < 1:
            raise ValueError(f"expected padding below the deconvolution's {name} {full}, got {before} and {after}")
        found.append(wanted)
        check_elements((full,))  # more than the answer, where much is cut off
    check_elements(found)
    return found[0], found[1], found[2]


def pad(x: Array, places: Places, filling: float) -> Array:
    """``x`` ``[..., D, H, W]`` with the padding that the windows reach; ``x`` itself where they reach none."""
    size = (x.shape[-3], x.shape[-2], x.shape[-1])
    room = places.room(size)
    if room == size:
        return x
    out = np.full_like(x, filling, order="C", shape=(*x.shape[:-3], *room))
    unpad(out, places, size)[...] = x
    return out


def unpad(x: Array, places: Places, size: Triple) -> Array:
    """The part of what ``pad`` makes that it was made from: a view."""
    front, top, left = places.begin
    return x[..., front : front + size[0], top : top + size[1], left : left + size[2]]


def columns(x: Array, places: Places) -> Array:
    """Every window's elements as columns: ``[N, C, D, H, W]`` -> ``[N, C * kd * kh * kw, windows]``; padding is zero."""
    n, c = x.shape[:2]
    volume = pad(x, places, 0.0)
    out = np.empty((n, c, *places.kernel, *places.count), x.dtype, like=x)
    for i, j, k, (down, across, along) in places.elements():
        out[:, :, i, j, k] = volume[:, :, down, across, along]
    return out.reshape(n, c * prod(places.kernel), prod(places.count))


def add_columns(cols: Array, places: Places, out: Array) -> None:
    """The adjoint of ``columns``: adds them to the elements they come from, ``out`` ``[N, C, D, H, W]``, zeros so far."""
    n, c = out.shape[:2]
    size = (out.shape[2], out.shape[3], out.shape[4])
    volume = np.zeros((n, c, *places.room(size)), out.dtype, like=out)
    parts = cols.reshape(n, c, *places.kernel, *places.count)
    for i, j, k, (down, across, along) in places.elements():
        volume[:, :, down, across, along] += parts[:, :, i, j, k]
    out[...] = unpad(volume, places, size)
