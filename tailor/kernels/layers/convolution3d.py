"""Convolution and deconvolution over depth, height and width, as matrix products of columns; see ``convolution``."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..bounds import check_elements
from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from ..volume import CUSTOM, Borders, Places, Triple, add_columns, columns, place, reach, spread
from ..window import SAME, VALID
from .channels import check_rank

PADDINGS = (CUSTOM, VALID, SAME)


def convolution3d(x: Array, w: Array, bias: Array | None = None, *, groups: int = 1, deconvolution: bool = False, **sliding: Any) -> Array:
    """``x`` ``[..., C, D, H, W]`` -> ``[..., O, D', H', W']``.

    ``w`` is ``[O, C / groups, kd, kh, kw]``, for a deconvolution ``[C, O / groups, kd, kh, kw]``; ``bias`` ``[O]``. ``sliding``:
    ``stride``, ``dilation`` (depth, height, width), ``padding`` (``"custom"``, ``"valid"``, ``"same"``), ``borders`` (front, back,
    top, bottom, left, right), and ``output`` (depth, height, width, or ``None``), which only a deconvolution uses.
    """
    shape, places = _plan(x.shape, w.shape, groups, deconvolution, **sliding)
    volumes, matrices = x.reshape(-1, *x.shape[-4:]), w.reshape(groups, w.shape[0] // groups, -1)
    out = np.empty((len(volumes), *shape[-4:]), x.dtype, like=x)
    for at in range(len(volumes)):  # one example's columns at a time: they are many times its size
        one = slice(at, at + 1)
        if deconvolution:
            add_columns(matrices.swapaxes(1, 2) @ _grouped(volumes[one], groups), places, out[one])
        else:
            np.matmul(matrices, _grouped(columns(volumes[one], places), groups), out=_grouped(out[one], groups))
    if bias is not None:
        out += bias.reshape(-1, 1, 1, 1)
    return out.reshape(shape)


def convolution3d_backward(
    g: Array,
    y: Array,
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    needs: tuple[bool, ...],
    groups: int = 1,
    deconvolution: bool = False,
    **sliding: Any,
) -> tuple[Array | None, ...]:
    """The gradients of ``convolution3d``; those of weights and bias are summed over all leading axes."""
    _, places = _plan(x.shape, w.shape, groups, deconvolution, **sliding)
    volumes, arriving = x.reshape(-1, *x.shape[-4:]), np.ascontiguousarray(g, like=g).reshape(-1, *g.shape[-4:])
    matrices = w.reshape(groups, w.shape[0] // groups, -1)
    dx = np.empty(volumes.shape, x.dtype, like=x) if needs[0] else None
    dw = np.zeros(matrices.shape, w.dtype, like=w) if needs[1] else None
    for at in range(len(volumes)):
        one = slice(at, at + 1)
        here, there = (volumes, arriving) if deconvolution else (arriving, volumes)
        rows = _grouped(here[one], groups)
        if dw is not None or (dx is not None and deconvolution):
            cols = _grouped(columns(there[one], places), groups)
            if dw is not None:
                dw += (rows @ cols.swapaxes(2, 3))[0]
            if dx is not None and deconvolution:
                dx[one] = (matrices @ cols).reshape(dx[one].shape)
        if dx is not None and not deconvolution:
            add_columns(matrices.swapaxes(1, 2) @ rows, places, dx[one])
    answers = (None if dx is None else dx.reshape(x.shape), None if dw is None else dw.reshape(w.shape))
    if bias is None:
        return answers
    return (*answers, arriving.reshape(*arriving.shape[:2], -1).sum(axis=2).sum(axis=0) if needs[2] else None)


def _grouped(volumes: Array, groups: int) -> Array:
    """``[N, C, ...]`` -> ``[N, groups, C / groups, the rest]``."""
    return volumes.reshape(len(volumes), groups, volumes.shape[1] // groups, -1)


def _plan(
    x: Shape,
    w: Shape,
    groups: int,
    deconvolution: bool,
    *,
    stride: Triple = (1, 1, 1),
    dilation: Triple = (1, 1, 1),
    padding: str = VALID,
    borders: Borders = (0, 0, 0, 0, 0, 0),
    output: Triple | None = None,
) -> tuple[Shape, Places]:
    """The answer's shape, and the windows: over the input, for a deconvolution over the answer."""
    check_rank(x, 4)
    expected = w[0] if deconvolution else w[1] * groups
    if len(w) != 5 or w[0] % groups or x[-4] != expected:
        raise ValueError(f"expected an input of {expected} channels for weights {list(w)} in {groups} groups, got shape {list(x)}")
    size, kernel = (x[-3], x[-2], x[-1]), (w[2], w[3], w[4])
    if deconvolution:
        places = spread(size, kernel, stride, dilation, padding, borders, output)
        shape = (*x[:-4], w[1] * groups, *reach(size, kernel, stride, dilation, padding, borders, output))
    else:
        places = place(size, kernel, stride, dilation, padding, borders)
        shape = (*x[:-4], w[0], *places.count)
    check_elements(shape)
    return shape, places


def _shape(x: Shape, w: Shape, bias: Shape | None = None, *, groups: int = 1, deconvolution: bool = False, **sliding: Any) -> Shape:
    shape, _ = _plan(x, w, groups, deconvolution, **sliding)
    if bias is not None and bias != (shape[-4],):
        raise ValueError(f"bias: expected {shape[-4]} numbers, got shape {list(bias)}")
    return shape


def _work(x: Shape, w: Shape, *bias: Shape, **attributes: Any) -> int:
    places = x if attributes.get("deconvolution") else _shape(x, w, **attributes)
    return prod(x[:-4]) * prod(w) * prod(places[-3:])


def read_triple(params: Any, name: str) -> Triple:
    """The positive numbers in ``<name>Depth``, ``<name>Height`` and ``<name>Width``."""
    found = [int(getattr(params, f"{name}{axis}")) for axis in ("Depth", "Height", "Width")]
    if min(found) < 1:
        raise ValueError(f"{name}: expected three positive numbers, depth, height and width, got {found}")
    return found[0], found[1], found[2]


def read_borders(params: Any) -> tuple[str, Borders]:
    """``padding`` and ``borders`` of a layer message; borders are zero unless the padding is ``"custom"``."""
    kind = int(params.paddingType)
    if kind not in range(len(PADDINGS)):
        raise ValueError(f"paddingType: expected one of 0 (custom), 1 (valid), 2 (same), got {kind}")
    a, b, c, d, e, f = (int(getattr(params, f"customPadding{side}")) for side in ("Front", "Back", "Top", "Bottom", "Left", "Right"))
    if PADDINGS[kind] != CUSTOM:
        return PADDINGS[kind], (0, 0, 0, 0, 0, 0)
    if min(a, b, c, d, e, f) < 0:
        raise ValueError(f"customPadding: expected numbers of 0 or more, got {[a, b, c, d, e, f]}")
    return CUSTOM, (a, b, c, d, e, f)


def _read(params: Any, decode: Decode) -> Reading:
    channels, inner, groups = int(params.outputChannels), int(params.inputChannels), int(params.nGroups) or 1
    deconvolution = bool(params.isDeconvolution)
    if min(channels, inner, groups) < 1 or channels % groups or inner % groups:
        raise ValueError(f"expected channels that {groups} groups divide, got {inner} input channels and {channels} output channels")
    output = tuple(int(length) for length in params.outputShape) if deconvolution else ()
    if output and (len(output) != 3 or min(output) < 1):
        raise ValueError(f"outputShape: expected three positive numbers, depth, height and width, got {list(output)}")
    padding, borders = read_borders(params)
    kernel = read_triple(params, "kernel")
    attributes = {
        "groups": groups,
        "deconvolution": deconvolution,
        "stride": read_triple(params, "stride"),
        "dilation": read_triple(params, "dilation"),
        "padding": padding,
        "borders": borders,
        "output": output or None,
    }
    shape = (inner, channels // groups, *kernel) if deconvolution else (channels, inner // groups, *kernel)
    weights = {"weights": decode(params, "weights", shape)}
    if params.hasBias:
        weights["bias"] = decode(params, "bias", (channels,))
    return Reading(attributes, weights)


OPS = (Op("convolution3d", convolution3d, _shape, _read, convolution3d_backward, from_the_end, _work, portable=True),)
