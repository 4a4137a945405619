"""What differs between two models: how far weights moved, layer by layer, and which examples came and went."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from tailor.kernels import Array
from tailor.persistence import Content, Metadata

from ..errors import MLFormatError
from ..format import origin_rows, read_contents, write_contents
from ..model import MLModel
from ..models import last_classifier
from .example_set import Rows

PARTS = ("samples", "labels", "origins")
AT_A_TIME = 2**18
"""Numbers that are compared at once: what memory it takes besides the models."""


@dataclass(frozen=True, slots=True)
class MLWeightDifference:
    """What became of one layer's numbers, as they are stored.

    ``name``      of the layer and its field, such as ``dense.weights``.
    ``before``, ``after``  how many numbers there were and are; ``None`` where the model has none of this name.
    ``changed``   how many have other bits; all of them where their number or their type is another.
    ``norm``      the Euclidean length of the change, ``relative`` the same by the length of what was before (``None`` where that is 0), and
    ``largest``   the largest absolute change. All are ``None`` for quantised numbers, and where there are not as many as before.
    """

    name: str
    before: int | None
    after: int | None
    changed: int
    norm: float | None = None
    relative: float | None = None
    largest: float | None = None


@dataclass(frozen=True, slots=True)
class MLExampleDifference:
    """How many examples of one label and source nearest neighbours gained and lost; ``source`` is ``""`` where none is known."""

    label: str | int
    source: str
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class MLModelDifference:
    """What differs between two models.

    ``weights``: of each field of a layer that is not the same; ``unchanged`` tells how many are. ``examples``: by label and source.
    ``otherwise``: whether they differ in more than that, as two models that do not come of one another do. ``metrics`` and
    ``parameters``: those that are not the same, before and after (``None``: it had none), where two versions are compared.
    """

    weights: tuple[MLWeightDifference, ...]
    unchanged: int
    examples: tuple[MLExampleDifference, ...]
    otherwise: bool
    metrics: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    parameters: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether the models are equal, whatever was told of them."""
        return not (self.weights or self.examples or self.otherwise)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, by the names of the fields."""
        told = {name: {key: list(pair) for key, pair in getattr(self, name).items()} for name in ("metrics", "parameters")}
        rows = {name: [asdict(row) for row in getattr(self, name)] for name in ("weights", "examples")}
        return {"same": self.same, **rows, "unchanged": self.unchanged, "otherwise": self.otherwise, **told}

    def told(self, before: Metadata, after: Metadata) -> MLModelDifference:
        """The same, with what differs in the metrics and parameters of two versions."""
        metrics, parameters = differing(before.metrics, after.metrics), differing(before.parameters, after.parameters)
        return replace(self, metrics=metrics, parameters=parameters)


def compare_models(before: MLModel, after: MLModel) -> MLModelDifference:
    """What differs between two models; takes little memory besides them. Raises ``MLFormatError`` where one cannot be read."""
    if before.content_hash == after.content_hash:
        return MLModelDifference((), len(_weights(read_contents(before.spec))), (), otherwise=False)
    old, new = read_contents(before.spec), read_contents(after.spec)
    weights = [_weight(name, was, now) for name, was, now in _pairs(_weights(old), _weights(new))]
    changed = tuple(row for row in weights if row.changed)
    examples = tuple(_examples(before, after))
    return MLModelDifference(changed, len(weights) - len(changed), examples, _otherwise(before, after, new))


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What is not equal in two maps, by name, as it was and as it is."""
    return {name: (was, now) for name, was, now in _pairs(before, after) if was != now}


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys((*before, *after)):
        yield name, before.get(name), after.get(name)


def _weights(contents: Mapping[str, Content]) -> dict[str, Array]:
    """The contents but for nearest neighbours' examples."""
    lists = [name for name, value in contents.items() if not isinstance(value, np.ndarray)]
    examples = {name.removesuffix("origins") + part for name in lists if name.endswith("origins") for part in PARTS}
    return {name: value for name, value in contents.items() if isinstance(value, np.ndarray) and name not in examples}


def _weight(name: str, before: Array | None, after: Array | None) -> MLWeightDifference:
    sizes = None if before is None else before.size, None if after is None else after.size
    if before is None or after is None or before.size != after.size or before.dtype != after.dtype:
        return MLWeightDifference(name, *sizes, max(sizes[0] or 0, sizes[1] or 0))
    changed, squares, was, largest = 0, 0.0, 0.0, 0.0
    with np.errstate(invalid="ignore"):  # infinities: the answer is NaN, and says so
        for start in range(0, before.size, AT_A_TIME):
            old, new = before[start : start + AT_A_TIME], after[start : start + AT_A_TIME]
            bits = f"u{before.dtype.itemsize}"
            changed += int((old.view(bits) != new.view(bits)).sum())
            if before.dtype.kind == "f":
                wide = old.astype(np.float64)
                step = new.astype(np.float64) - wide
                squares, was = squares + float(step @ step), was + float(wide @ wide)
                largest = float(np.maximum(largest, np.abs(step).max(initial=0.0)))
    if before.dtype.kind != "f":
        return MLWeightDifference(name, *sizes, changed)
    norm = math.sqrt(squares)
    return MLWeightDifference(name, *sizes, changed, norm, norm / math.sqrt(was) if was else None, largest)


def _examples(before: MLModel, after: MLModel) -> Iterator[MLExampleDifference]:
    old, new = (Rows.of(model) if last_classifier(model.spec) is not None else None for model in (before, after))
    added, removed = _of_whom(new, old), _of_whom(old, new)
    for label, source in sorted(added.keys() | removed.keys(), key=lambda key: (str(key[0]), key[1])):
        yield MLExampleDifference(label, source, added[label, source], removed[label, source])


def _of_whom(rows: Rows | None, others: Rows | None) -> Counter[tuple[str | int, str]]:
    """How many of ``rows`` are not among ``others``, by label and source."""
    count: Counter[tuple[str | int, str]] = Counter()
    if rows is None:
        return count
    left = rows.counts - others.counts if others is not None else Counter(rows.counts)
    origins = origin_rows(rows.origins, "examples")
    for digest, label, origin in zip(rows.digests, rows.labels, origins, strict=True):
        if left[digest] > 0:
            left[digest] -= 1
            count[label, origin[1] if origin is not None else ""] += 1
    return count


def _otherwise(before: MLModel, after: MLModel, new: Mapping[str, Content]) -> bool:
    """Whether ``before`` with the contents of ``after`` is still another model."""
    try:
        return before._changed(lambda spec: write_contents(spec, new)).content_hash != after.content_hash
    except MLFormatError:  # they do not have the same contents
        return True
