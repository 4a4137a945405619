"""SciPy's map_coordinates at the points of each box; the answers that Core ML gives for small images, worked by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, numbers
from .resample import METHODS, sampled

MODES = ("corners", "corners_width_first", "center", "center_width_first")


def case(note: str, x: Array, boxes: Any, reference: Any, size: tuple[int, int], method: str = "align_endpoints", **changes: Any) -> Case:
    attributes: dict[str, Any] = {"mode": "corners", "normalized": False, "scale": 1.0} | changes
    message = Message(
        targetSize=[] if size == (1, 1) else list(size),
        normalizedCoordinates=attributes["normalized"],
        mode=SimpleNamespace(samplingMethod=METHODS.index(method)),
        boxIndicesMode=SimpleNamespace(boxMode=MODES.index(attributes["mode"])),
        spatialScale=attributes["scale"] if attributes["scale"] != 1 else 0.0,
    )
    rows = np.array(boxes, dtype=float)
    given = rows.reshape(len(rows), 1, -1, 1, 1)
    smooth = (0, 1) if rows.shape[1] == 4 and "kink" not in note else (0,)
    return Case("cropResize", (x, given), reference, message, {"size": size, "method": method} | attributes, smooth=smooth, note=note)


def cut(*patches: tuple[Any, Any, Any]) -> Any:
    """``patches``: which images, at which rows and columns."""
    return lambda x, boxes: np.stack([sampled(x[0, which], np.array(rows), np.array(cols)) for which, rows, cols in patches])


X = numbers(1, 2, 3, 5, 6)
GRID = np.arange(1.0, 17.0).reshape(1, 1, 1, 4, 4)
ALL = slice(None)
BOX = [0.3, 1.2, 3.4, 4.1]
ROWS, COLS = np.linspace(0.3, 3.4, 3), np.linspace(1.2, 4.1, 2)

CASES = (
    case("literal, kinks", GRID, [[1, 1, 2, 2]], np.array([6.0, 7, 10, 11]).reshape(1, 1, 1, 2, 2), (2, 2)),
    case("literal, turned, kinks", GRID, [[2, 2, 1, 1]], np.array([11.0, 10, 7, 6]).reshape(1, 1, 1, 2, 2), (2, 2)),
    case("literal, one point, kinks", GRID, [[1, 1, 2, 2]], np.array([8.5]).reshape(1, 1, 1, 1, 1), (1, 1)),
    case("one point", X, [BOX], cut((ALL, [1.85], [2.65])), (1, 1)),
    case("one point, strict", X, [BOX], cut((ALL, [0.3], [1.2])), (1, 1), "strict_align_endpoints"),
    case("of all images", X, [BOX, [2.1, 0.2, 2.6, 4.7]], cut((ALL, ROWS, COLS), (ALL, [2.1, 2.35, 2.6], [0.2, 4.7])), (3, 2)),
    case(
        "of one image each, normalized",
        X,
        # ends of 0 and 1, so that an example made by moving all numbers along has images that there are
        [[1, 0.0, 0.2, 1.0, 1.0], [0, 0.1, 0.3, 1.0, 0.0]],
        cut((slice(1, 2), [0, 2, 4], [1, 5]), (slice(0, 1), [0.4, 2.2, 4], [1.5, 0])),
        (3, 2),
        normalized=True,
    ),
    case("width first", X, [[1.2, 0.3, 4.1, 3.4]], cut((ALL, ROWS, COLS)), (3, 2), mode="corners_width_first"),
    case("center", X, [[1.85, 2.65, 3.1, 2.9]], cut((ALL, ROWS, COLS)), (3, 2), mode="center"),
    case("center, width first", X, [[2.65, 1.85, 2.9, 3.1]], cut((ALL, ROWS, COLS)), (3, 2), mode="center_width_first"),
    case("scale, turned", X, [[6.8, 2.4, 0.6, 8.2]], cut((ALL, ROWS[::-1], COLS)), (3, 2), scale=0.5),
    # an interval of 4.1 - 1.1 = 3 has four points: the second half of it is kept inside
    case("upsample", X, [[0.3, 1.1, 3.4, 4.1]], cut((ALL, 0.3 + np.arange(3) * 4.1 / 3, 1.1 + np.arange(2) * 4 / 2)), (3, 2), "upsample"),
    case("upsample, ends", X, [[0.4, 1.1, 1.5, 1.6]], cut((ALL, [0.4, 1.1, 1.5], [1.1, 1.475, 1.6, 1.6])), (3, 4), "upsample"),
    case(
        "RoI align", X, [BOX], cut((ALL, 0.3 + (np.arange(3) + 0.5) * 3.1 / 3, 1.2 + (np.arange(2) + 0.5) * 2.9 / 2)), (3, 2), "roi_align"
    ),
    case("RoI align, small", X, [[0.3, 1.1, 0.5, 1.2]], cut((ALL, [0.55, 1.05], [1.35, 1.85])), (2, 2), "roi_align"),
    case("past the border", X, [[-1.5, 2.2, 5.7, 7.3]], cut((ALL, [0, 2.1, 4], [2.2, 5])), (3, 2)),
)
