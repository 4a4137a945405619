"""PyTorch's convolutions, padded by hand; literals."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers

SIDES = ("Front", "Back", "Top", "Bottom", "Left", "Right")
PADDINGS = ("custom", "valid", "same")


def three(name: str, values: tuple[int, int, int]) -> dict[str, int]:
    return dict(zip((f"{name}Depth", f"{name}Height", f"{name}Width"), values, strict=True))


def borders(padding: str, values: tuple[int, ...]) -> dict[str, int]:
    return {"paddingType": PADDINGS.index(padding)} | {f"customPadding{side}": n for side, n in zip(SIDES, values, strict=True)}


def case(note: str, x: Array, w: Array, b: Array | None, reference: Any, **changes: Any) -> Case:
    attributes: dict[str, Any] = {
        "groups": 1,
        "deconvolution": False,
        "stride": (1, 1, 1),
        "dilation": (1, 1, 1),
        "padding": "valid",
        "borders": (0, 0, 0, 0, 0, 0),
        "output": None,
    } | changes
    groups, deconvolution = attributes["groups"], attributes["deconvolution"]
    message = Message(
        outputChannels=w.shape[1] * groups if deconvolution else w.shape[0],
        inputChannels=w.shape[0] if deconvolution else w.shape[1] * groups,
        nGroups=groups if groups > 1 else 0,
        isDeconvolution=deconvolution,
        hasBias=b is not None,
        weights=0,
        bias=0,
        outputShape=list(attributes["output"] or ()),
        **three("kernel", w.shape[2:]),  # type: ignore[arg-type]
        **three("stride", attributes["stride"]),
        **three("dilation", attributes["dilation"]),
        **borders(attributes["padding"], attributes["borders"]),
    )
    weights = {"weights": w} if b is None else {"weights": w, "bias": b}
    return Case("convolution3d", (x,), reference, message, attributes, weights, note=note)


X, W, B = numbers(1, 2, 3, 4, 3), numbers(2, 2, 2, 3, 2), numbers(2)
Z, V = numbers(1, 2, 2, 2, 3), numbers(2, 1, 2, 1, 3)
GROUPS = numbers(4, 1, 2, 2, 1)

CASES = (
    case(
        "literal",
        np.arange(8.0).reshape(1, 1, 2, 2, 2),
        np.array([1.0, -1, 0, 0, 0, 0, 0, 2]).reshape(1, 1, 2, 2, 2),
        None,
        np.full((1, 1, 1, 1, 1), 13.0),
    ),
    case("valid", X, W, B, by_torch(lambda t, f, x, w, b: f.conv3d(x, w, b))),
    case(
        "rank 6, pointwise",
        numbers(2, 1, 2, 1, 2, 2),
        numbers(3, 2, 1, 1, 1),
        None,
        lambda x, w: np.einsum("sbcdhw,oc->sbodhw", x, w[..., 0, 0, 0]),
    ),
    case(
        "custom, stride, dilation",
        X,
        numbers(2, 2, 2, 2, 2),
        B,
        by_torch(lambda t, f, x, w, b: f.conv3d(f.pad(x, (0, 2, 3, 1, 1, 0)), w, b, stride=(1, 2, 1), dilation=(2, 1, 3))),
        stride=(1, 2, 1),
        dilation=(2, 1, 3),
        padding="custom",
        borders=(1, 0, 3, 1, 0, 2),
    ),
    # 3, 4 and 3 elements in steps of 2: the windows reach 4, 5 and 4 elements, the odd ones lie behind
    case(
        "same",
        X,
        W,
        B,
        by_torch(lambda t, f, x, w, b: f.conv3d(f.pad(x, (0, 1, 0, 1, 0, 1)), w, b, stride=2)),
        stride=(2, 2, 2),
        padding="same",
    ),
    case("groups", numbers(1, 4, 2, 3, 2), GROUPS, None, by_torch(lambda t, f, x, w: f.conv3d(x, w, groups=4)), groups=4),
    case(
        "deconvolution, literal",
        np.array([1.0, 2.0]).reshape(1, 1, 1, 1, 2),
        np.array([1.0, 10.0, 100.0]).reshape(1, 1, 1, 1, 3),
        None,
        np.array([1.0, 10.0, 102.0, 20.0, 200.0]).reshape(1, 1, 1, 1, 5),
        deconvolution=True,
        stride=(1, 1, 2),
    ),
    case(
        "deconvolution, custom, dilation",
        Z,
        V,
        numbers(1),
        by_torch(lambda t, f, x, w, b: f.conv_transpose3d(x, w, b, stride=(2, 1, 2), dilation=(1, 1, 2))[:, :, 1:, :, :-2]),
        deconvolution=True,
        stride=(2, 1, 2),
        dilation=(1, 1, 2),
        padding="custom",
        borders=(1, 0, 0, 0, 0, 2),
    ),
    # full size 4 x 3 x 7, cut to 4 x 4 x 6: rows of zeros are added, the odd column goes from the right
    case(
        "deconvolution, same",
        Z,
        V,
        numbers(1),
        by_torch(lambda t, f, x, w, b: f.pad(f.conv_transpose3d(x, w, stride=2), (0, -1, 0, 1)) + b),
        deconvolution=True,
        stride=(2, 2, 2),
        padding="same",
    ),
    case(
        "deconvolution, groups, output shape",
        numbers(1, 4, 2, 2, 2),
        GROUPS,
        numbers(4),
        by_torch(lambda t, f, x, w, b: f.conv_transpose3d(x, w, b, groups=4)[:, :, :, 1:2]),
        groups=4,
        deconvolution=True,
        output=(3, 1, 2),
    ),
)
