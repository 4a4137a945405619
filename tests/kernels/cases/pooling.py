from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers, same, valid

KINDS = ("max", "average", "l2")


def last_pixel(height: int, width: int) -> dict[str, Any]:
    return {"oneof": "includeLastPixel", "includeLastPixel": SimpleNamespace(paddingAmounts=[height, width] if height or width else [])}


def case(note: str, kind: str, x: Array, reference: Any, border: dict[str, Any], **changes: Any) -> Case:
    attributes: dict[str, Any] = {
        "kind": kind,
        "kernel": (3, 3),
        "stride": (1, 1),
        "padding": "valid",
        "amounts": (0, 0, 0, 0),
        "whole": False,
        "exclude_padding": False,
    } | changes
    if attributes["whole"]:
        attributes["kernel"] = (1, 1)
    message = Message(
        type=KINDS.index(kind),
        kernelSize=[0, 0] if attributes["whole"] else list(attributes["kernel"]) if attributes["kernel"] != (3, 3) else [],
        stride=[0, 0] if attributes["whole"] else list(attributes["stride"]) if attributes["stride"] != (1, 1) else [],
        avgPoolExcludePadding=attributes["exclude_padding"],
        globalPooling=attributes["whole"],
        **border,
    )
    return Case("pooling", (x,), reference, message, attributes, note=note)


X = numbers(2, 3, 7, 6)
DEEP = numbers(1, 2, 2, 4, 6)
GRID = np.array([[[5.0, 1.0, 2.0], [0.0, 3.0, 9.0], [4.0, -8.0, 7.0]]])
INF = -np.inf

CASES = (
    case("max 2x2", "max", DEEP, lambda x: x.reshape(1, 2, 2, 2, 2, 3, 2).max(axis=(4, 6)), valid(), kernel=(2, 2), stride=(2, 2)),
    case("max 2x2, odd", "max", GRID, np.array([[[5.0]]]), valid(), kernel=(2, 2), stride=(2, 2)),
    case("max 3x3", "max", X, by_torch(lambda t, f, x: f.max_pool2d(x, 3, 1)), valid()),
    case("max 3x2, stride", "max", X, by_torch(lambda t, f, x: f.max_pool2d(x, (3, 2), (2, 3))), valid(), kernel=(3, 2), stride=(2, 3)),
    case(
        "max, padding",
        "max",
        X,
        by_torch(lambda t, f, x: f.max_pool2d(x, 3, 2, padding=1)),
        valid(1, 1, 1, 1),
        stride=(2, 2),
        amounts=(1, 1, 1, 1),
    ),
    case(
        "max, other padding",
        "max",
        X,
        by_torch(lambda t, f, x: f.max_pool2d(f.pad(x, (2, 1, 0, 1), value=INF), (2, 3), 1)),
        valid(0, 1, 2, 1),
        kernel=(2, 3),
        amounts=(0, 1, 2, 1),
    ),
    # 7 rows, stride 2: 4 windows reach 8 rows; 6 columns: 3 windows reach 6
    case(
        "max, same",
        "max",
        X,
        by_torch(lambda t, f, x: f.max_pool2d(f.pad(x, (0, 0, 0, 1), value=INF), 2, 2)),
        same(),
        kernel=(2, 2),
        stride=(2, 2),
        padding="same",
    ),
    case(
        "max, same top left",
        "max",
        X,
        by_torch(lambda t, f, x: f.max_pool2d(f.pad(x, (0, 0, 1, 0), value=INF), 2, 2)),
        same(1),
        kernel=(2, 2),
        stride=(2, 2),
        padding="same_top_left",
    ),
    case(
        "max, last pixel",
        "max",
        X,
        by_torch(lambda t, f, x: f.max_pool2d(x, 2, 2, ceil_mode=True)),
        last_pixel(0, 0),
        kernel=(2, 2),
        stride=(2, 2),
        padding="include_last_pixel",
    ),
    case(
        "max, last pixel, padding",
        "max",
        X,
        by_torch(lambda t, f, x: f.max_pool2d(x, 3, (3, 2), padding=1, ceil_mode=True)),
        last_pixel(1, 1),
        stride=(3, 2),
        padding="include_last_pixel",
        amounts=(1, 1, 1, 1),
    ),
    case("max, whole", "max", X, lambda x: x.max(axis=(2, 3), keepdims=True), valid(), whole=True),
    case("max, whole, no padding type", "max", X, lambda x: x.max(axis=(2, 3), keepdims=True), {"oneof": None}, whole=True),
    case("average, literal", "average", GRID, np.array([[[9 / 4, 15 / 4], [-1 / 4, 11 / 4]]]), valid(), kernel=(2, 2)),
    case(
        "average, padding counts",
        "average",
        X,
        by_torch(lambda t, f, x: f.avg_pool2d(x, 3, 2, padding=1)),
        valid(1, 1, 1, 1),
        stride=(2, 2),
        amounts=(1, 1, 1, 1),
    ),
    case(
        "average, padding left out",
        "average",
        X,
        by_torch(lambda t, f, x: f.avg_pool2d(x, 3, 2, padding=1, count_include_pad=False)),
        valid(1, 1, 1, 1),
        stride=(2, 2),
        amounts=(1, 1, 1, 1),
        exclude_padding=True,
    ),
    case(
        "average, last pixel",
        "average",
        X,
        by_torch(lambda t, f, x: f.avg_pool2d(x, 3, (3, 2), padding=1, ceil_mode=True)),
        last_pixel(1, 1),
        stride=(3, 2),
        padding="include_last_pixel",
        amounts=(1, 1, 1, 1),
    ),
    case(
        "average, last pixel, padding left out",
        "average",
        X,
        by_torch(lambda t, f, x: f.avg_pool2d(x, (2, 3), 2, padding=(0, 1), ceil_mode=True, count_include_pad=False)),
        last_pixel(0, 1),
        kernel=(2, 3),
        stride=(2, 2),
        padding="include_last_pixel",
        amounts=(0, 0, 1, 1),
        exclude_padding=True,
    ),
    # the last window holds 3 rows of which the last two are padding, and counts 3 all the same
    case(
        "average, same",
        "average",
        X,
        by_torch(lambda t, f, x: f.avg_pool2d(f.pad(x, (0, 1, 1, 1)), 3, 2)),
        same(),
        stride=(2, 2),
        padding="same",
    ),
    case("average, whole", "average", X, lambda x: x.mean(axis=(2, 3), keepdims=True), valid(), whole=True),
    case("l2", "l2", X, by_torch(lambda t, f, x: f.lp_pool2d(x, 2.0, (2, 3), 1)), valid(), kernel=(2, 3)),
    case("l2, whole", "l2", np.array([[[3.0, 0.5], [-4.0, 1.5]]]), np.array([[[27.5**0.5]]]), valid(), whole=True),
)
