"""Which values are taken for indices: whoever makes up inputs must give numbers that can be."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

_PLACES = {
    "embedding": 0, "embeddingND": 0, "oneHot": 0,
    "gather": 1, "gatherND": 1, "gatherAlongAxis": 1, "scatter": 1, "scatterND": 1, "scatterAlongAxis": 1,
}  # fmt: skip
"""By kind of layer, which of its inputs holds indices."""

_PASSING_ON = {
    "reshape", "reshapeStatic", "rankPreservingReshape", "squeeze", "expandDims", "flatten", "flattenTo2D", "permute", "transpose",
}  # fmt: skip


class Step(Protocol):
    """What is read of a layer or node."""

    @property
    def kind(self) -> str:
        """As ``Op.name`` has it."""

    @property
    def inputs(self) -> Sequence[str]:
        """The values that it takes."""

    @property
    def outputs(self) -> Sequence[str]:
        """The values that it makes."""


def indices(steps: Sequence[Step], known: Collection[str] = ()) -> set[str]:
    """The values that ``steps``, in their order, take for indices, at once or reshaped; and those ``known``."""
    found = set(known)
    for step in reversed(steps):
        if step.kind in _PLACES:
            found.update(step.inputs[_PLACES[step.kind] :][:1])
        elif step.kind in _PASSING_ON and found.intersection(step.outputs):
            found.update(step.inputs)
    return found
