"""Choosing among boxes: non-maximum suppression."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bounds import MOST_ELEMENTS, check_elements
from ..op import Array, Attributes, Decode, Op, Reading, Shape
from .whole import whole

Answers = tuple[Array, Array, Array, Array]


def non_maximum_suppression(boxes: Array, scores: Array, *given: Array, iou: float, score: float, most: int, per_class: bool) -> Answers:
    """``boxes`` ``[..., N, 4]`` (x and y of the centre, width, height), ``scores`` ``[..., N, C]`` -> the ``most`` best boxes
    ``[..., most, 4]`` and their scores ``[..., most, C]`` (then zeros), their indices ``[..., most]`` (then -1), and how many ``[...]``.

    From the best score down (the first of equals), a box goes where it overlaps one that stays by more than ``iou``, with
    ``per_class`` only where the same class is the best of both. Scores below ``score`` go first; where all do, the best
    box stays. Third to fifth inputs replace ``iou``, ``score`` and ``most``.

    Raises ``ValueError`` where ``most`` is no whole number of 0 or more, or is more than fits.
    """
    limits = [float(x.reshape(-1)[0]) for x in given[:2]]
    iou, score = (*limits, *(iou, score)[len(limits) :])
    most = int(whole(given[2].reshape(-1), 0, MOST_ELEMENTS, "numbers of boxes")[0]) if len(given) > 2 else most
    lead, classes = boxes.shape[:-2], scores.shape[-1]
    check_elements((*lead, most, max(4, classes)))
    flat_boxes, flat_scores = boxes.reshape(-1, *boxes.shape[-2:]), scores.reshape(-1, *scores.shape[-2:])
    count = len(flat_boxes)
    out = (
        np.zeros((count, most, 4), boxes.dtype),
        np.zeros((count, most, classes), scores.dtype),
        np.full((count, most), -1.0, boxes.dtype),
        np.zeros(count, boxes.dtype),
    )
    for at in range(count):
        kept = kept_boxes(flat_boxes[at], flat_scores[at], iou, score, most, per_class)
        if not len(kept):
            kept = np.array([flat_scores[at].max(axis=1).argmax()])[:most]
        places = slice(0, len(kept))
        out[0][at, places], out[1][at, places], out[2][at, places] = flat_boxes[at, kept], flat_scores[at, kept], kept
        out[3][at] = len(kept)
    return (*(array.reshape(*lead, *array.shape[1:]) for array in out),)  # type: ignore[return-value]


def kept_boxes(boxes: Array, scores: Array, iou: float, score: float, most: int, per_class: bool) -> Array:
    """The indices of the boxes that stay, the best first, ``most`` at most; ``boxes`` ``[N, 4]`` and ``scores`` ``[N, C]``.

    Whoever's best score is below ``score`` goes; else as ``non_maximum_suppression`` says: with an ``iou`` of 1 by its score alone.
    """
    best, labels = scores.max(axis=1), scores.argmax(axis=1)
    order = np.argsort(-best, kind="stable")
    order = order[best[order] >= score]
    low, high = boxes[:, :2] - 0.5 * boxes[:, 2:], boxes[:, :2] + 0.5 * boxes[:, 2:]
    areas = np.prod(high - low, axis=1)  # from the corners, as what is common: a box is no larger than itself by rounding
    kept: list[int] = []
    while len(order) and len(kept) < most:
        first, order = order[0], order[1:]
        kept.append(int(first))
        sides = np.minimum(high[first], high[order]) - np.maximum(low[first], low[order])
        common = np.prod(np.maximum(sides, 0.0), axis=1)
        # not divided: boxes without area overlap by nothing
        goes = common > iou * (areas[first] + areas[order] - common)
        if per_class:
            goes &= labels[order] == labels[first]
        order = order[~goes]
    return np.array(kept, np.intp)


def non_maximum_suppression_backward(
    g: tuple[Array | None, ...], y: Answers, boxes: Array, scores: Array, *given: Array, needs: tuple[bool, ...], **attributes: Any
) -> tuple[Array | None, ...]:
    """The gradients of boxes and scores: those that stay get theirs; thresholds have none."""
    chosen = y[2].reshape(-1, y[2].shape[-1])
    rows, places = np.nonzero(chosen >= 0)
    indices = chosen[rows, places].astype(np.intp)
    found: list[Array | None] = []
    for x, arriving, need in zip((boxes, scores), g[:2], needs[:2], strict=True):
        dx = np.zeros((len(chosen), *x.shape[-2:]), x.dtype) if need else None
        if dx is not None and arriving is not None:
            dx[rows, indices] = arriving.reshape(*chosen.shape, -1)[rows, places]
        found.append(None if dx is None else dx.reshape(x.shape))
    return (*found, *(None for _ in given))


def _shape(boxes: Shape, scores: Shape, *given: Shape, most: int, **attributes: Any) -> tuple[Shape | None, ...]:
    if len(boxes) < 3 or boxes[-1] != 4 or scores[:-1] != boxes[:-1] or not boxes[-2] or not scores[-1]:
        raise ValueError(f"expected boxes [B, N, 4] and scores [B, N, C], got shapes {list(boxes)} and {list(scores)}")
    if len(given) > 3 or any(int(np.prod(shape)) != 1 for shape in given):
        raise ValueError(f"expected up to three thresholds of one number each, got shapes {[list(shape) for shape in given]}")
    lead = boxes[:-2]
    if len(given) == 3:
        return None, None, None, lead
    check_elements((*lead, most, max(4, scores[-1])))
    return (*lead, most, 4), (*lead, most, scores[-1]), (*lead, most), lead


def _batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes | None:
    # thresholds of their own make examples differ
    return attributes if len(ranks) == 2 else None


def _work(boxes: Shape, scores: Shape, *given: Shape, most: int, **attributes: Any) -> int:
    return int(np.prod(scores)) + 8 * int(np.prod(boxes[:-2])) * boxes[-2] * max(1, min(most, boxes[-2]))


def _read(params: Any, decode: Decode) -> Reading:
    attributes = {
        "iou": float(params.iouThreshold),
        "score": float(params.scoreThreshold),
        "most": int(params.maxBoxes),
        "per_class": bool(params.perClassSuppression),
    }
    return Reading(attributes, {})


OPS = (Op("NonMaximumSuppression", non_maximum_suppression, _shape, _read, non_maximum_suppression_backward, _batched, _work),)
