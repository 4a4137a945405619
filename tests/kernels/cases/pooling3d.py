"""PyTorch's pooling, padded by hand; the format's own example."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers
from .convolution3d import borders, three

KINDS = ("max", "average")


def case(note: str, kind: str, x: Array, reference: Any, kernel: tuple[int, int, int], **changes: Any) -> Case:
    attributes: dict[str, Any] = {
        "kind": kind,
        "kernel": kernel,
        "stride": (1, 1, 1),
        "padding": "valid",
        "borders": (0, 0, 0, 0, 0, 0),
        "exclude_padding": False,
    } | changes
    message = Message(
        type=KINDS.index(kind),
        countExcludePadding=attributes["exclude_padding"],
        **three("kernel", kernel),
        **three("stride", attributes["stride"]),
        **borders(attributes["padding"], attributes["borders"]),
    )
    return Case("pooling3d", (x,), reference, message, attributes, note=note)


def whole(note: str, kind: str, x: Array, reference: Any) -> Case:
    return Case("globalPooling3d", (x,), reference, Message(type=KINDS.index(kind)), {"kind": kind}, note=note)


X = numbers(1, 2, 3, 4, 5)
EXAMPLE = np.arange(1.0, 19.0).reshape(1, 1, 2, 3, 3)
INF = -np.inf
UNEVEN = (1, 0, 0, 1, 1, 1)

CASES = (
    case("literal", "max", EXAMPLE, np.array([14.0, 15.0, 17.0, 18.0]).reshape(1, 1, 1, 2, 2), (2, 2, 2)),
    case("max, stride", "max", X, by_torch(lambda t, f, x: f.max_pool3d(x, (2, 3, 1), (1, 1, 2))), (2, 3, 1), stride=(1, 1, 2)),
    case(
        "max, custom",
        "max",
        X,
        by_torch(lambda t, f, x: f.max_pool3d(f.pad(x, (1, 1, 0, 1, 1, 0), value=INF), (2, 2, 3), 2)),
        (2, 2, 3),
        stride=(2, 2, 2),
        padding="custom",
        borders=UNEVEN,
    ),
    # 3, 4 and 5 elements in steps of 2, 1 and 2: the windows reach 4, 5 and 6, the odd ones lie behind
    case(
        "max, same",
        "max",
        X,
        by_torch(lambda t, f, x: f.max_pool3d(f.pad(x, (0, 1, 0, 1, 0, 1), value=INF), 2, (2, 1, 2))),
        (2, 2, 2),
        stride=(2, 1, 2),
        padding="same",
    ),
    case("average", "average", X, by_torch(lambda t, f, x: f.avg_pool3d(x, (2, 1, 3), (1, 2, 1))), (2, 1, 3), stride=(1, 2, 1)),
    case(
        "average, custom",
        "average",
        X,
        by_torch(lambda t, f, x: f.avg_pool3d(f.pad(x, (1, 1, 0, 1, 1, 0)), (2, 2, 3), 2)),
        (2, 2, 3),
        stride=(2, 2, 2),
        padding="custom",
        borders=UNEVEN,
    ),
    case(
        "average, padding excluded",
        "average",
        X,
        by_torch(lambda t, f, x: f.avg_pool3d(x, 3, 2, padding=1, count_include_pad=False)),
        (3, 3, 3),
        stride=(2, 2, 2),
        padding="custom",
        borders=(1, 1, 1, 1, 1, 1),
        exclude_padding=True,
    ),
    case(
        "average, same, padding excluded",
        "average",
        X,
        by_torch(
            lambda t, f, x: f.avg_pool3d(f.pad(x, (0, 1, 0, 1, 0, 1)), 2, 2) / f.avg_pool3d(f.pad(t.ones_like(x), (0, 1, 0, 1, 0, 1)), 2, 2)
        ),
        (2, 2, 2),
        stride=(2, 2, 2),
        padding="same",
        exclude_padding=True,
    ),
    whole("max", "max", EXAMPLE, np.array([18.0]).reshape(1, 1, 1, 1, 1)),
    whole("max of several", "max", X, by_torch(lambda t, f, x: f.adaptive_max_pool3d(x, 1))),
    whole("average", "average", X, by_torch(lambda t, f, x: f.adaptive_avg_pool3d(x, 1))),
)
