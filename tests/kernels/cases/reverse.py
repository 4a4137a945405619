from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers


def turned(note: str, x: Array, reference: Any, *marks: bool) -> Case:
    return Case("reverse", (x,), reference, Message(reverseDim=list(marks)), {"turned": marks}, note=note)


def rows(note: str, x: Array, lengths: list[float], reference: Any, batch: int, sequence: int) -> Case:
    message = Message(batchAxis=batch, sequenceAxis=sequence)
    attributes = {"batch_axis": batch, "sequence_axis": sequence}
    return Case("reverseSeq", (x, np.array(lengths)), reference, message, attributes, smooth=(0,), note=note)


def by_loops(x: Array, lengths: Array, batch: int, sequence: int) -> Array:
    """Number by number."""
    answer = np.empty_like(x)
    for at in np.ndindex(x.shape):
        length = int(lengths[at[batch]])
        source = list(at)
        source[sequence] = length - 1 - at[sequence] if at[sequence] < length else at[sequence]
        answer[at] = x[tuple(source)]
    return answer


CASES = (
    turned("first and last", numbers(2, 3, 2), by_torch(lambda torch, functional, x: x.flip(0, 2)), True, False, True),
    turned("none", numbers(2, 3), lambda x: x, False, False),
    rows("literal", np.arange(8.0).reshape(2, 4), [3.0, 0.0], np.array([[2.0, 1, 0, 3], [4, 5, 6, 7]]), 0, 1),
    rows("pairs", np.arange(12.0).reshape(2, 3, 2), [2.0, 3.0], np.array([[[2.0, 3], [0, 1], [4, 5]], [[10, 11], [8, 9], [6, 7]]]), 0, 1),
    rows("in the middle", numbers(2, 3, 2, 4), [1.0, 4.0, 2.0], lambda x, lengths: by_loops(x, lengths, 1, 3), 1, -1),
    rows("the sequence first", numbers(3, 2, 2), [2.0, 3.0], lambda x, lengths: by_loops(x, lengths, 1, 0), -2, 0),
)
