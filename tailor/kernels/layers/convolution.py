"""Convolution and deconvolution as matrix products: each example's windows become columns, one product a group.

The product with an example's columns is the example's answer already in its place, so nothing is rearranged. Examples go
in blocks, which bound the memory that columns take.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from ..jit import elsewhere
from ..op import Array, Attributes, Decode, Op, Reading, Shape
from ..window import SAME, SAME_TOP_LEFT, VALID, Amounts, Pair, Windows, add_columns, columns, slide, split
from .channels import check_rank

COLUMN_ELEMENTS = 1 << 20
"""Elements of the columns of a block of examples, at most (unless one example alone has more)."""

ELSEWHERE_ELEMENTS = 1 << 25
"""The same on an accelerator, which has no cache that they should fit into, and does much at once: 128 MiB."""


def convolution(x: Array, w: Array, bias: Array | None = None, *, groups: int = 1, deconvolution: bool = False, **sliding: Any) -> Array:
    """``x`` ``[..., C, H, W]`` -> ``[..., O, H', W']``.

    ``w`` is ``[O, C / groups, kh, kw]``, for a deconvolution ``[C, O / groups, kh, kw]``, of the layer or an input;
    ``bias`` ``[O]``. ``sliding``:
    ``stride``, ``dilation`` (pairs: height, width), ``padding`` (``"valid"``, ``"same"``, ``"same_top_left"``), ``amounts``
    (top, bottom, left, right), and ``output`` (height, width, or ``None``), which only a deconvolution uses.
    """
    shape, windows = convolution_plan(x.shape, w.shape, groups, deconvolution, **sliding)
    images = x.reshape(-1, *x.shape[-3:])
    out = (np.zeros if deconvolution else np.empty)((len(images), *shape[-3:]), x.dtype, like=x)
    matrices = _matrices(w, groups)
    for block, buffer in _blocks(images, w, windows, groups):
        if deconvolution:
            _spread(matrices, images[block], windows, groups, buffer, out[block])
        else:
            np.matmul(matrices, _grouped(columns(images[block], windows, buffer), groups), out=_grouped(out[block], groups))
        if bias is not None:
            out[block] += bias.reshape(-1, 1, 1)
    return out.reshape(shape)


def convolution_backward(
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
    """The gradients of ``convolution``; those of weights and bias are summed over all leading axes."""
    _, windows = convolution_plan(x.shape, w.shape, groups, deconvolution, **sliding)
    images, arriving = x.reshape(-1, *x.shape[-3:]), g.reshape(-1, *g.shape[-3:])
    matrices = _matrices(w, groups)
    dx = np.zeros(images.shape, x.dtype, like=x) if needs[0] else None
    dw = np.zeros(matrices.shape, w.dtype, like=w) if needs[1] else None
    for block, buffer in _blocks(images, w, windows, groups):
        if deconvolution:
            # the adjoint of a deconvolution is the convolution with the same weights
            cols = _grouped(columns(arriving[block], windows, buffer), groups)
            if dx is not None:
                np.matmul(matrices, cols, out=_grouped(dx[block], groups))
            if dw is not None:
                dw += (_grouped(images[block], groups) @ cols.swapaxes(2, 3)).sum(axis=0)
        else:
            here = _grouped(arriving[block], groups)
            if dw is not None:
                cols = _grouped(columns(images[block], windows, buffer), groups)
                dw += (here @ cols.swapaxes(2, 3)).sum(axis=0)
            if dx is not None:
                _spread(matrices, arriving[block], windows, groups, buffer, dx[block])
    answers = (None if dx is None else dx.reshape(x.shape), None if dw is None else dw.reshape(w.shape))
    if bias is None:
        return answers
    return (*answers, arriving.reshape(*arriving.shape[:2], -1).sum(axis=2).sum(axis=0) if needs[2] else None)


def _spread(matrices: Array, x: Array, windows: Windows, groups: int, buffer: Array, out: Array) -> None:
    """The adjoint of the product with columns: ``out``, zeros so far, becomes what every window adds to its pixels."""
    pointwise = windows.pointwise((out.shape[-2], out.shape[-1]))
    np.matmul(matrices.swapaxes(1, 2), _grouped(x, groups), out=_grouped(out if pointwise else buffer, groups))
    if not pointwise:
        add_columns(buffer, windows, out)


def _matrices(w: Array, groups: int) -> Array:
    """The weights as one matrix a group: ``[groups, first axis / groups, the rest]``."""
    return w.reshape(groups, w.shape[0] // groups, -1)


def _grouped(images: Array, groups: int) -> Array:
    """``[N, C, ...]`` -> ``[N, groups, C / groups, the rest]``, a view."""
    return images.reshape(len(images), groups, images.shape[1] // groups, -1)


def _blocks(images: Array, w: Array, windows: Windows, groups: int) -> Iterator[tuple[slice, Array]]:
    """Which examples go together, and a buffer for their columns."""
    rows, places = prod(w.shape[1:]) * groups, prod(windows.count)
    size = max(1, (ELSEWHERE_ELEMENTS if elsewhere(images) else COLUMN_ELEMENTS) // max(1, rows * places))
    buffer = np.empty((min(size, len(images)), rows, places), images.dtype, like=images)
    for start in range(0, len(images), size):
        yield slice(start, start + size), buffer[: len(images) - start]


def convolution_plan(
    x: Shape,
    w: Shape,
    groups: int,
    deconvolution: bool,
    *,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padding: str = VALID,
    amounts: Amounts = (0, 0, 0, 0),
    output: Pair | None = None,
) -> tuple[Shape, Windows]:
    """The answer's shape, and the windows: over the input, for a deconvolution over the answer."""
    check_rank(x, 3)
    expected = w[0] if deconvolution else w[1] * groups
    if len(w) != 4 or w[0] % groups or x[-3] != expected:
        raise ValueError(f"expected an input of {expected} channels for weights {list(w)} in {groups} groups, got shape {list(x)}")
    size, kernel = (x[-2], x[-1]), (w[2], w[3])
    if not deconvolution:
        windows = slide(size, kernel, stride, dilation, padding, amounts)
        return (*x[:-3], w[0], *windows.count), windows
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    vertical = _unslide(size[0], span[0], stride[0], padding, amounts[:2], None if output is None else output[0])
    horizontal = _unslide(size[1], span[1], stride[1], padding, amounts[2:], None if output is None else output[1])
    windows = Windows(kernel, stride, dilation, (vertical[0], horizontal[0]), size)
    return (*x[:-3], w[1] * groups, vertical[1], horizontal[1]), windows


def _unslide(size: int, span: int, stride: int, padding: str, amounts: Pair, output: int | None) -> Pair:
    """What a deconvolution cuts off at the beginning of one axis, and the size that it leaves.

    ``output`` overrides the padding, as the format says; how the cut is split is not said: as the padding where that
    comes to the same size, otherwise in halves. Raises ``ValueError`` where nothing is left.
    """
    full = (size - 1) * stride + span
    begin, end = amounts
    if output is None:
        output = size * stride if padding in (SAME, SAME_TOP_LEFT) else full - begin - end
    if output < 1:
        raise ValueError(f"expected padding below the deconvolution's size {full}, got {begin} and {end}")
    if padding == VALID and full - begin - end == output:
        return begin, output
    return split(max(0, full - output), padding), output


def _shape(
    x: Shape, w: Shape | None = None, bias: Shape | None = None, *, groups: int = 1, deconvolution: bool = False, **sliding: Any
) -> Shape:
    if w is None:
        raise ValueError("expected weights, in the layer or as a second input, got neither")
    shape, _ = convolution_plan(x, w, groups, deconvolution, **sliding)
    if bias is not None and bias != (shape[-3],):
        raise ValueError(f"bias: expected {shape[-3]} numbers, got shape {list(bias)}")
    return shape


def _work(x: Shape, w: Shape, *bias: Shape, **attributes: Any) -> int:
    places = x if attributes.get("deconvolution") else _shape(x, w, **attributes)
    return prod(x[:-3]) * prod(w) * prod(places[-2:])


def _batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes | None:
    """Examples that bring weights of their own go one by one."""
    return attributes if len(ranks) == 1 else None


def read_pair(values: Any, name: str, default: Pair) -> Pair:
    """Two positive numbers (height, width) of a layer message, or ``default`` where they are not set."""
    pair = tuple(int(value) for value in values) or default
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"{name}: expected two positive numbers, height and width, got {list(pair)}")
    return pair[0], pair[1]


def read_padding(params: Any, kind: str | None) -> tuple[str, Amounts]:
    """``padding`` and ``amounts`` of a layer message whose padding field is ``kind``: ``valid`` or ``same``."""
    if kind == "same":
        return SAME_TOP_LEFT if params.same.asymmetryMode == 1 else SAME, (0, 0, 0, 0)
    if kind != "valid":
        raise ValueError(f"padding: expected one of valid and same, got {kind or 'none'}")
    borders = [(int(edge.startEdgeSize), int(edge.endEdgeSize)) for edge in params.valid.paddingAmounts.borderAmounts]
    if len(borders) not in (0, 2):
        raise ValueError(f"paddingAmounts: expected two pairs, height and width, got {len(borders)}")
    (top, bottom), (left, right) = borders or [(0, 0), (0, 0)]
    return VALID, (top, bottom, left, right)


def _read(params: Any, decode: Decode) -> Reading:
    channels, inner, groups = int(params.outputChannels), int(params.kernelChannels), int(params.nGroups) or 1
    deconvolution = bool(params.isDeconvolution)
    if min(channels, inner) < 1 or channels % groups or (deconvolution and inner % groups):
        raise ValueError(f"expected channels that {groups} groups divide, got {channels} output channels and {inner} kernel channels")
    kernel = read_pair(params.kernelSize, "kernelSize", (3, 3))
    padding, amounts = read_padding(params, params.WhichOneof("ConvolutionPaddingType"))
    attributes = {
        "groups": groups,
        "deconvolution": deconvolution,
        "stride": read_pair(params.stride, "stride", (1, 1)),
        # a deconvolution's too: the format's comment says that it is ignored, but coremltools' tests expect it
        "dilation": read_pair(params.dilationFactor, "dilationFactor", (1, 1)),
        "padding": padding,
        "amounts": amounts,
        "output": read_pair(params.outputShape, "outputShape", (1, 1)) if deconvolution and len(params.outputShape) else None,
    }
    weights = {}
    if params.HasField("weights"):
        shape = (inner, channels // groups, *kernel) if deconvolution else (channels, inner, *kernel)
        weights["weights"] = decode(params, "weights", shape)
    # else they are the second input, which says all that the layer says of their shape
    if params.hasBias:
        weights["bias"] = decode(params, "bias", (channels,))
    return Reading(attributes, weights)


OPS = (Op("convolution", convolution, _shape, _read, convolution_backward, _batched, _work, portable=True),)
