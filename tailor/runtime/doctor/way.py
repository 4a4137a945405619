"""The way from a loss back to the layers, as Core ML's own validator goes it.

It sees the layers outside of blocks, in their order; a layer's parents are the latest before it that make what it takes.

Sources: the format's comments on updatable layers, and what its validator checks (``docs/doctor.md`` tells the rules).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..format import LayerRecord
from ..models.updatable import UPDATABLE_KINDS

WITH_GRADIENT = frozenset(
    (*UPDATABLE_KINDS, "uniDirectionalLSTM", "flatten", "pooling", "batchnorm", "activation.ReLU", "activation.sigmoid", "activation.tanh")
)
"""The kinds of layers that gradients pass through in Core ML's update."""


@dataclass(frozen=True)
class Way:
    """The layers before a loss on ``value``. ``exempt``: whether a softmax that makes ``value`` belongs to the loss."""

    records: Sequence[LayerRecord]
    value: str
    exempt: bool

    @cached_property
    def parents(self) -> list[list[int]]:
        """By place, the layers that make what a layer takes; at the end, those before the loss."""
        makers: dict[str, int] = {}
        parents: list[list[int]] = []
        for place, record in enumerate(self.records):
            parents.append([makers[name] for name in record.inputs if name in makers])
            makers.update(dict.fromkeys(record.outputs, place))
        return [*parents, [makers[self.value]] if self.value in makers else []]

    @cached_property
    def reached(self) -> set[int]:
        """The places of the layers that the loss depends on."""
        return set(self.walked)

    @cached_property
    def walked(self) -> list[int]:
        """The places that the validator comes by, breadth first from the loss."""
        order: list[int] = []
        waiting = deque([len(self.records)])
        while waiting:
            for parent in self.parents[waiting.popleft()]:
                if parent not in order:
                    order.append(parent)
                    waiting.append(parent)
        return order

    def blocks(self, place: int) -> bool:
        """Whether a layer lets no gradient through."""
        if self.exempt and self.records[place].kind == "softmax" and place in self.parents[-1]:
            return False
        return self.records[place].kind not in WITH_GRADIENT

    def between(self, place: int) -> list[int]:
        """The places of the layers without a gradient on any way from the loss to the layer at ``place``."""
        after = {place}
        for later in range(place + 1, len(self.records)):
            if after.intersection(self.parents[later]):
                after.add(later)
        return sorted(one for one in after & self.reached - {place} if self.blocks(one))

    def refused(self) -> tuple[int, int] | None:
        """A layer without a gradient, and one marked as updatable that the validator comes by after it; ``None``: there are none.

        Breadth first, so that the two need not be on one way: it refuses more than there is reason to.
        """
        stopped: int | None = None
        for place in self.walked:
            if stopped is not None and self.records[place].updatable:
                return stopped, place
            if self.blocks(place):
                stopped = place
        return None
