"""The proof of a repair: the same outputs as before, on random inputs made from the description.

Layers run one by one, without anything put together, so that a repair that should change no bit can be held to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from tailor.kernels import Array, Shape

from ...description import describe
from ...errors import MLModelError
from ...format import layers
from ...models.lowered import graph_of, inputs_of, network_of
from ...network import Graph, indices, make_plan
from ...values import MLFeatureDescription, MLImageConstraint, MLMultiArrayConstraint, SizeRange
from ..aim import learned_values, outputs_of

TOLERANCE = 1e-5
"""How much outputs may differ, as a share of the largest of them where that is above 1."""

EXAMPLES = 3
"""Examples of the sizes that are declared first; where others are allowed, one more of a small and one of a large size."""

MOST_NUMBERS = 1 << 24
"""Numbers of one input, at most: larger ones are not made up."""


class Proof:
    """What the network of ``spec`` answers, to compare others with. Raises ``MLModelError`` where it cannot be run here."""

    def __init__(self, spec: Any) -> None:
        records = layers(network_of(spec))
        self._plain = outputs_of(spec, records)
        self._names = list(dict.fromkeys([*self._plain, *learned_values(spec, network_of(spec), records)]))
        self._before: list[tuple[dict[str, Array], dict[str, Array]]] = []
        graph = self._graph(spec)
        first: MLModelError | None = None
        for number, tensors in enumerate(_examples(spec, graph)):
            try:
                self._before.append((tensors, _run(graph, tensors)))
            except MLModelError as error:  # a size that the layers do not take, whatever the description says
                first = error if number == 0 else first
        if first is not None or not self._before:
            raise first or MLModelError("expected an input of a size that is declared, got none")

    def difference(self, spec: Any) -> float:
        """The largest difference of an output; infinite where one has another shape. Raises ``MLModelError`` where it cannot be run."""
        graph = self._graph(spec)
        found = 0.0
        for tensors, answers in self._before:
            now = _run(graph, tensors)
            for name, before in answers.items():
                if name in self._plain and before.shape != now[name].shape:
                    return float("inf")
                found = max(found, _apart(before.ravel(), now[name].ravel()))
        return found

    def _graph(self, spec: Any) -> Graph:
        graph = graph_of(spec, self._names, "network")
        return graph.towards(*graph.outputs)


def _run(graph: Graph, tensors: Mapping[str, Array]) -> dict[str, Array]:
    given = {name: tensors[name] for name in graph.inputs}
    return make_plan(graph, {name: tensor.shape for name, tensor in given.items()}).run(given, stacked=False)


def _apart(a: Array, b: Array) -> float:
    """The largest difference, as a share of the largest number above 1; infinite where one is not a number and the other is."""
    if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return float("inf")
    known = np.isfinite(a)
    if not np.array_equal(a[~known], b[~known], equal_nan=True):
        return float("inf")
    if not known.any():
        return 0.0
    a, b = a[known].astype(np.float64), b[known].astype(np.float64)
    return float(np.abs(a - b).max() / max(1.0, np.abs(a).max()))


def _examples(spec: Any, graph: Graph) -> Iterator[dict[str, Array]]:
    """Tensors by input; the same every time."""
    random = np.random.default_rng(0)
    described = describe(spec).input_descriptions_by_name
    entries = inputs_of(spec, graph.inputs, "network")
    for entry in entries:
        if entry.name not in described:  # a model of several functions, of which another is described
            raise MLModelError(f"input {entry.name!r}: expected it to be described, got {', '.join(map(repr, described)) or 'none'}")
    zero = indices(graph.nodes)
    sizes = {entry.name: _sizes(described[entry.name]) for entry in entries}
    for name, known in sizes.items():
        if prod(known[0]) > MOST_NUMBERS:
            raise MLModelError(f"input {name!r}: expected at most {MOST_NUMBERS} numbers, got shape {list(known[0])}")
    variants = max((len(known) for known in sizes.values()), default=1)
    for number in range(EXAMPLES + variants - 1):
        variant = max(0, number - EXAMPLES + 1)
        made = {}
        for entry in entries:
            known = sizes[entry.name]
            size = next(one for one in (known[min(variant, len(known) - 1)], known[0]) if prod(one) <= MOST_NUMBERS)
            column = _column(described[entry.name], size, random, entry.name in zero)
            made[entry.name] = np.asarray(entry.read(column, 1)[0])
        yield made


def _column(feature: MLFeatureDescription, size: Shape, random: np.random.Generator, zero: bool) -> Array:
    """One example of a feature: numbers of both signs, whole ones 0 or 1, 0 for indices; pixels."""
    constraint = feature.constraint
    if isinstance(constraint, MLImageConstraint):
        return random.integers(0, 256, (1, *size) if constraint.color_space.is_gray else (1, *size, 3), np.uint8)
    if zero:
        return np.zeros((1, *size), np.float32)
    if isinstance(constraint, MLMultiArrayConstraint) and constraint.data_type.dtype.kind == "i":
        return random.integers(0, 2, (1, *size)).astype(np.float32)
    return random.standard_normal((1, *size), np.float32)


def _sizes(feature: MLFeatureDescription) -> list[Shape]:
    """The size that is declared first, and a small and a large one where others are allowed; of images [height, width]."""
    constraint = feature.constraint
    first: Shape
    others: list[Shape]
    if isinstance(constraint, MLImageConstraint):
        first, others = (constraint.pixels_high, constraint.pixels_wide), [(high, wide) for wide, high in constraint.enumerated_sizes]
        ranges = [size for size in (constraint.height_range, constraint.width_range) if size is not None]
    elif isinstance(constraint, MLMultiArrayConstraint):
        first, others, ranges = constraint.shape, list(constraint.enumerated_shapes), list(constraint.size_ranges)
    else:
        return [()]
    if ranges:
        others = [tuple(max(1, size.lower) for size in ranges), tuple(map(_large, ranges, first))]
    smallest = sorted({size for size in others if size != first}, key=prod)
    return [first, *dict.fromkeys([*smallest[:1], *smallest[-1:]])]


def _large(allowed: SizeRange, size: int) -> int:
    """A size a little above the one declared first."""
    return size + 3 if allowed.upper is None else min(size + 3, allowed.upper)
