"""Convolutions and inner products as steps: products over the pixels of images whose channels lie closest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import inf, prod

import numpy as np

from ...layers.convolution import convolution_plan
from ...layers.pooling import pooling_windows
from ...op import Array, Attributes, Shape
from ...window import Windows
from ..assembly import Assembly
from ..bind import Bind, always
from ..records import LANES
from ..views import Border, View, merged


def _windows(x: Shape, w: Shape, attributes: Attributes) -> tuple[Shape, Windows]:
    sliding = {name: attributes[name] for name in ("stride", "dilation", "padding", "amounts") if name in attributes}
    return convolution_plan(x, w, attributes.get("groups", 1), False, **sliding)


def _fits(inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool:
    """Weights of its own, no deconvolution; what is added has the shape of the answer."""
    if attributes.get("deconvolution") or not weights or len(weights[0]) != 4 or prod(inputs[0]) == 0:
        return False
    shape, _ = _windows(inputs[0], weights[0], attributes)
    return prod(shape) > 0 and (len(inputs) == 1 or (len(inputs) == 2 and inputs[1] == shape))


def _border(x: Shape, weights: Sequence[Shape], attributes: Attributes) -> Border:
    _, windows = _windows(x, weights[0], attributes)
    high, wide = windows.room((x[-2], x[-1]))
    top, left = windows.begin
    return top, max(0, high - top - x[-2]), left, max(0, wide - left - x[-1])


def _make(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
    w = weights[0]
    groups = attributes.get("groups", 1)
    shape, windows = _windows(inputs[0].shape, w.shape, attributes)
    each = w.shape[1] == 1 and len(w) == groups == inputs[0].shape[-3]
    x = to.as_image(inputs[0], _border(inputs[0].shape, [w.shape], attributes), beyond=each)
    row, col = x.strides[-2:]
    inner, outer = w.shape[1], len(w) // groups
    begin = View(x.buffer, x.shape, x.strides, x.at - windows.begin[0] * row - windows.begin[1] * col)
    down, right = windows.dilation
    together = not each and right == 1 and (col == inner or w.shape[3] == 1)
    across = 1 if together else w.shape[3]
    taps = [i * down * row + j * right * col for i in range(w.shape[2]) for j in range(across)]
    depth = 1 if each else inner * (w.shape[3] if together else 1)
    panels = to.packed(("convolution", groups, each), partial(_panels, groups=groups, each=each), w)
    bias = to.packed(("bias", groups, each), partial(_bias, groups=1 if each else groups), weights[1]) if len(weights) > 1 else None
    other = to.as_image(inputs[1], beyond=True) if len(inputs) > 1 else None
    y = to.place(name, shape, True)
    (lead, x_image), (_, y_image) = to.lead(x), to.lead(y)
    steps = {
        "x": (inner, windows.stride[0] * row, windows.stride[1] * col),
        "y": (outer, *y.strides[-2:]),
        "z": (outer, *(other or y).strides[-2:]),
    }
    return to.product(
        y,
        begin,
        panels,
        taps=taps,
        depth=depth,
        channels=len(w) if each else outer,
        pixels=(shape[-2], shape[-1]),
        steps=steps,
        images=(lead, x_image, y_image),
        bias=bias,
        bias_outer=_whole(outer),
        other=other,
        other_image=to.lead(other)[1] if other is not None else 0,
        outer=1 if each else groups,
        panels_outer=panels.buffer.size // (1 if each else groups),
        limits=attributes.get("limits", (-inf, inf)),
        each=each,
    )


def _whole(channels: int) -> int:
    """Channels, up to whole panels."""
    return -(-channels // LANES) * LANES


def _panels(w: Array, groups: int, each: bool) -> Array:
    """``[O, I, h, w]`` -> ``[groups, panels, h, w, I, LANES]``; with ``each``, a panel is of channels of their own."""
    grouped = w.reshape(1, len(w), *w.shape[1:]) if each else w.reshape(groups, len(w) // groups, *w.shape[1:])
    padded = np.zeros((len(grouped), _whole(grouped.shape[1]), *w.shape[1:]), np.float32)
    padded[:, : grouped.shape[1]] = grouped
    blocks = padded.reshape(len(grouped), -1, LANES, *w.shape[1:])
    return blocks.transpose(0, 1, 4, 5, 3, 2)


def _bias(bias: Array, groups: int) -> Array:
    padded = np.zeros((groups, _whole(len(bias) // groups)), np.float32)
    padded[:, : len(bias) // groups] = bias.reshape(groups, -1)
    return padded


def _inner_axes(x: Shape, attributes: Attributes) -> int:
    return int(attributes.get("axes", 0)) or (3 if len(x) >= 4 else 1)


def _rows(view: View, axes: int) -> tuple[tuple[int, int], tuple[int, int], View | None]:
    """The leading axes as rows and columns: sizes and strides; the view again if its last ``axes`` lie in one piece."""
    sizes, (inner,) = merged(view.shape[-axes:], view.strides[-axes:])
    outer, (strides,) = merged(view.shape[:-axes], view.strides[:-axes])
    if (sizes and (len(sizes) > 1 or inner[0] != 1)) or len(outer) > 2:
        return (0, 0), (0, 0), None
    rows = (*(1,) * (2 - len(outer)), *outer)
    steps = (*(0,) * (2 - len(outer)), *strides)
    return (rows[0], rows[1]), (steps[0], steps[1]), view


def _multiply_rows(to: Assembly, name: str, x: View, axes: int, shape: Shape, weights: Sequence[Array]) -> View:
    """``x @ w.T + bias`` over the last ``axes`` axes; ``w`` ``[O, I]``."""
    w = weights[0]
    pixels, steps, found = _rows(x, axes)
    if found is None:
        x = to.in_order(x)
        pixels, steps, _ = _rows(x, axes)
    panels = to.packed(("rows",), _row_panels, w)
    bias = to.packed(("bias", 1), partial(_bias, groups=1), weights[1]) if len(weights) > 1 else None
    y = to.place(name, shape, False)
    across = {"x": (0, *steps), "y": (0, pixels[1] * len(w), len(w))}
    return to.product(
        y, x, panels, taps=[0], depth=w.shape[1], channels=len(w), pixels=pixels, steps=across, images=(1, x.image, y.image), bias=bias
    )


def _row_panels(w: Array) -> Array:
    """``[O, I]`` -> ``[panels, I, LANES]``."""
    return _panels(w.reshape(*w.shape, 1, 1), 1, False)


def _inner(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
    x = inputs[0]
    axes = _inner_axes(x.shape, attributes)
    return _multiply_rows(to, name, x, axes, (*x.shape[:-axes], len(weights[0]), *(1,) * (axes - 1)), weights)


def _matmul_fits(inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool:
    """One input and the layer's matrix, or two whose leading axes agree."""
    if len(inputs) == 1:
        return bool(weights) and prod(inputs[0]) > 0
    return (
        len(inputs) == 2
        and not weights
        and len(inputs[0]) == len(inputs[1]) >= 2
        and inputs[0][:-2] == inputs[1][:-2]
        and prod(inputs[0]) > 0
        and prod(inputs[1]) > 0
    )


def _matmul(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
    if len(inputs) == 1:
        return _multiply_rows(to, name, inputs[0], 1, (*inputs[0].shape[:-1], len(weights[0])), weights)
    a, b = (
        view.permuted([*range(len(view.shape) - 2), len(view.shape) - 1, len(view.shape) - 2]) if turned else view
        for view, turned in zip(inputs, attributes["transposed"], strict=True)
    )
    lead = a.shape[:-2]
    if a.strides[-1] != 1 or len(merged(lead, a.strides[:-2])[0]) > 1:
        a = to.copy(a, to.new(a.shape))
    if len(merged(lead, b.strides[:-2])[0]) > 1:
        b = to.copy(b, to.new(b.shape))
    outer = prod(lead)
    a_outer, b_outer = (int(sum(strides)) for _, (strides,) in (merged(lead, view.strides[:-2]) for view in (a, b)))
    rows, depth = a.shape[-2:]
    channels = b.shape[-1]
    panels = to.pack(b, outer, b_outer)
    y = to.place(name, (*lead, rows, channels), False)
    return to.product(
        y,
        a,
        panels,
        taps=[0],
        depth=depth,
        channels=channels,
        pixels=(1, rows),
        steps={"x": (a_outer, 0, a.strides[-2]), "y": (rows * channels, 0, channels)},
        images=(1, a.image, y.image),
        outer=outer,
        panels_outer=panels.buffer.size // outer,
        apart=True,
    )


def _pool_fits(inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool:
    return attributes["kind"] in ("max", "average") and prod(inputs[0]) > 0


def _pool(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
    x = to.as_image(inputs[0], beyond=True)
    sliding = {key: value for key, value in attributes.items() if key not in ("kind", "crew")}
    shape, windows, counts = pooling_windows(x.shape, **sliding)
    kernel = (x.shape[-2], x.shape[-1]) if attributes.get("whole") else windows.kernel
    fields = {"kernel_high": kernel[0], "kernel_wide": kernel[1], "stride_down": windows.stride[0], "stride_right": windows.stride[1]}
    return to.pool(
        to.place(name, shape, True),
        x,
        None if attributes["kind"] == "max" else counts,
        **fields,
        top=windows.begin[0],
        left=windows.begin[1],
    )


BINDS = (
    Bind("convolution", _fits, _make, _border),
    Bind("innerProduct", always, _inner),
    Bind("batchedMatmul", _matmul_fits, _matmul),
    Bind("pooling", _pool_fits, _pool),
)
