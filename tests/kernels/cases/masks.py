from __future__ import annotations

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers


def band(lower: int, upper: int, *shape: int) -> Case:
    def reference(x: Array) -> Array:
        kept = [[(lower < 0 or m - n <= lower) and (upper < 0 or n - m <= upper) for n in range(shape[-1])] for m in range(shape[-2])]
        return np.einsum("...mn,mn->...mn", x, np.array(kept, float))

    attributes = {"lower": lower if lower >= 0 else None, "upper": upper if upper >= 0 else None}
    message = Message(numLower=lower, numUpper=upper)
    return Case("matrixBandPart", (numbers(*shape),), reference, message, attributes, note=f"{lower}, {upper} of {shape}")


def triangle(op: str, k: int, *shape: int) -> Case:
    bounds = {"lower": None, "upper": k} if op == "lowerTriangular" else {"lower": -k, "upper": None}
    reference = by_torch(lambda torch, _, x: torch.tril(x, k) if op == "lowerTriangular" else torch.triu(x, k))
    return Case(op, (numbers(*shape),), reference, Message(k=k), bounds, note=f"{k} of {shape}")


CASES = (
    *(band(lower, upper, 2, 4, 3) for lower, upper in ((0, 0), (1, 0), (-1, 1), (2, -4), (-1, -1), (7, 7))),
    band(0, 1, 3, 5),
    Case(
        "matrixBandPart",
        (np.array([[1.0, np.nan], [np.inf, 2.0]]),),
        np.diag([1.0, 2.0]),
        Message(numLower=0, numUpper=0),
        {"lower": 0, "upper": 0},
        smooth=(),
        note="what is left out may be anything",
    ),
    *(triangle(op, k, *shape) for op in ("lowerTriangular", "upperTriangular") for k in (-3, -1, 0, 2) for shape in ((4, 3), (2, 1, 3, 4))),
)
