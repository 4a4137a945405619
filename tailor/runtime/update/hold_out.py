"""Which of the examples are held out: not learned from, but judged by."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from tailor.kernels import Array


def held_out(labels: Sequence[Hashable] | int, share: float, seed: int) -> Array:
    """The numbers of the examples held out, ascending: int64, of 0 to the number of examples - 1.

    ``labels``, one an example: of each label with two examples or more its ``share``, rounded half up, but at least one and
    never all; a label with a single example is learned from. A number of examples instead: of all of them, in the same way.
    Which ones depends on labels, share and seed alone (PCG64). Empty where there is nothing that can be spared.
    """
    generator = np.random.Generator(np.random.PCG64(seed % 2**64))
    chosen = [generator.permutation(group)[: _part(len(group), share)] for group in _groups(labels)]
    return np.sort(np.concatenate([*chosen, np.empty(0, np.int64)]))


def _groups(labels: Sequence[Hashable] | int) -> list[Array]:
    """The numbers of the examples of each label, the label that comes first first."""
    if isinstance(labels, int):
        return [np.arange(labels)]
    groups: dict[Hashable, list[int]] = {}
    for number, label in enumerate(labels):
        groups.setdefault(label, []).append(number)
    return [np.array(group, np.int64) for group in groups.values()]


def _part(count: int, share: float) -> int:
    return min(max(int(share * count + 0.5), 1), count - 1)
