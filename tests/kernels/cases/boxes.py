"""Suppression worked by hand on boxes along a line, and written out pair by pair for random ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message


def suppressed(iou: float, score: float, most: int, per_class: bool) -> Any:
    def reference(boxes: Array, scores: Array, *given: Array) -> tuple[Array, ...]:
        count = len(boxes)
        out = (np.zeros((count, most, 4)), np.zeros((count, most, scores.shape[2])), np.full((count, most), -1.0), np.zeros(count))
        for b in range(count):
            best, kept = scores[b].max(axis=1), []
            for i in sorted(range(len(best)), key=lambda i: -best[i]):
                rivals = [j for j in kept if not per_class or scores[b, i].argmax() == scores[b, j].argmax()]
                if best[i] >= score and all(overlap(boxes[b, i], boxes[b, j]) <= iou for j in rivals):
                    kept.append(i)
            kept = (kept or [int(best.argmax())])[:most]
            for place, i in enumerate(kept):
                out[0][b, place], out[1][b, place], out[2][b, place] = boxes[b, i], scores[b, i], i
            out[3][b] = len(kept)
        return out

    return reference


def overlap(one: Array, other: Array) -> float:
    """Intersection over union, from the ends of the sides."""
    common = 1.0
    for axis in (0, 1):
        ends = [(box[axis] - box[axis + 2] / 2, box[axis] + box[axis + 2] / 2) for box in (one, other)]
        common *= max(0.0, min(ends[0][1], ends[1][1]) - max(ends[0][0], ends[1][0]))
    return float(common / (one[2] * one[3] + other[2] * other[3] - common))


def case(
    note: str, boxes: Array, scores: Array, reference: Any, iou: float, score: float, most: int, per_class: bool = False, given: int = 0
) -> Case:
    """``given``: how many of the thresholds come as inputs; those in the message are wrong then."""
    limits = (iou, score, most)
    said = tuple(0 if place < given else limit for place, limit in enumerate(limits))
    message = Message(iouThreshold=said[0], scoreThreshold=said[1], maxBoxes=said[2], perClassSuppression=per_class)
    attributes = {"iou": float(said[0]), "score": float(said[1]), "most": said[2], "per_class": per_class}
    inputs = (boxes, scores, *(np.array([float(limit)]) for limit in limits[:given]))
    return Case("NonMaximumSuppression", inputs, reference, message, attributes, smooth=(0, 1), note=note)


# Boxes 2 wide at 0, 1, 2 and 10: neighbours overlap by 1 / 3
LINE = np.array([[[0.0, 0, 2, 1], [1, 0, 2, 1], [2, 0, 2, 1], [10, 0, 2, 1]]])
SCORES = np.array([[[0.7], [0.9], [0.6], [0.1]]])
ONE, THREE = np.array([[[1.0, 0, 2, 1], [0, 0, 0, 0]]]), np.array([[[1.0, 0, 2, 1], [0, 0, 2, 1], [2, 0, 2, 1]]])
RANDOM = np.random.default_rng(11)
MANY = np.concatenate([RANDOM.uniform(0, 1, (2, 9, 2)), RANDOM.uniform(0.3, 0.9, (2, 9, 2))], axis=2)
CLASSES = RANDOM.permutation(54).reshape(2, 9, 3) / 54.0

CASES = (
    case("neighbours go", LINE, SCORES, (ONE, np.array([[[0.9], [0.0]]]), np.array([[1.0, -1.0]]), np.array([1.0])), 0.3, 0.5, 2),
    case(
        "neighbours stay", LINE, SCORES, (THREE, np.array([[[0.9], [0.7], [0.6]]]), np.array([[1.0, 0, 2]]), np.array([3.0])), 0.4, 0.5, 3
    ),
    case("nobody is good enough", LINE, SCORES, (ONE, np.array([[[0.9], [0.0]]]), np.array([[1.0, -1.0]]), np.array([1.0])), 0.4, 0.95, 2),
    case("many", MANY, CLASSES, suppressed(0.25, 0.4, 12, False), 0.25, 0.4, 12),
    case("many, few wanted", MANY, CLASSES, suppressed(0.25, 0.4, 2, False), 0.25, 0.4, 2),
    case("by class", MANY, CLASSES, suppressed(0.2, 0.1, 9, True), 0.2, 0.1, 9, True),
    case("overlap given", MANY, CLASSES, suppressed(0.2, 0.5, 9, True), 0.2, 0.5, 9, True, 1),
    case("all given", MANY, CLASSES, suppressed(0.3, 0.3, 5, False), 0.3, 0.3, 5, False, 3),
)
