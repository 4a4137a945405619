"""What all classifiers share: their class labels, and the outputs made of what they find for each class.

Source: the comments on ``predictedFeatureName`` and ``predictedProbabilitiesName`` in ``Model.proto`` of the format, and
the oneof ``ClassLabels`` that every classifier's message has.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tailor.kernels import Array

from ..errors import MLFormatError
from .family import Column

Label: TypeAlias = str | int


def class_labels(message: Any) -> tuple[Label, ...]:
    """A classifier's labels, in the order of its probabilities; empty where it has none."""
    kind = message.WhichOneof("ClassLabels")
    return () if kind is None else tuple(getattr(message, kind).vector)


@dataclass(frozen=True, slots=True)
class Classes:
    """A classifier's labels and the names of its outputs; an empty name stands for an output that the model does not make."""

    labels: tuple[Label, ...]
    label_name: str
    probabilities_name: str

    @classmethod
    def of(cls, spec: Any, message: Any, who: str, *, repeats: bool = False, unnamed: int = 0) -> Classes:
        """The classes of the classifier ``message``, which is part of the model ``spec``.

        ``repeats``: two classes may have one label. ``unnamed``: how many classes there are where there are no labels; their
        numbers stand for labels then, but 0 asks for labels. Raises ``MLFormatError`` where there are no labels, where a label
        comes twice, and where the outputs are declared as something that cannot hold labels of this type.
        """
        labels = class_labels(message) or tuple(range(unnamed))
        if not labels:
            raise MLFormatError(f"{who}: expected class labels in a classifier, got none")
        kind = message.WhichOneof("ClassLabels")
        if not repeats and len(set(labels)) < len(labels):
            label, times = Counter(labels).most_common(1)[0]
            raise MLFormatError(f"{who}: {kind}: expected each label once, got {label!r} {times} times")
        description = spec.description
        made = cls(labels, description.predictedFeatureName, description.predictedProbabilitiesName)
        for feature in description.output:
            made._check_output(feature, "int64" if isinstance(labels[0], int) else "string", who)
        return made

    def _check_output(self, feature: Any, key: str, who: str) -> None:
        """Raises ``MLFormatError`` unless ``feature``, where it is one of the outputs, can hold what is put into it."""
        declared = feature.type.WhichOneof("Type")
        if feature.name == self.label_name:
            expected, got = f"{key}Type", declared
        elif feature.name == self.probabilities_name:
            expected, got = f"dictionaryType with {key}KeyType", declared
            if declared == "dictionaryType":
                got = f"dictionaryType with {feature.type.dictionaryType.WhichOneof('KeyType')}"
        else:
            return
        if got != expected:
            raise MLFormatError(f"{who}: output {feature.name!r}: expected {expected}, as the class labels are, got {got or 'no type'}")

    def answer(self, probabilities: Array | None, chosen: Array | None = None) -> dict[str, Column]:
        """The output columns of N examples.

        ``probabilities`` ``[N, K]``, one a label in their order; ``None`` only where the model does not put them out.
        ``chosen`` int ``[N]``: which label is the answer, by its place; the (first) most probable one where it is not given.
        """
        made: dict[str, Column] = {}
        if self.label_name:
            places = np.argmax(probabilities, axis=1) if chosen is None and probabilities is not None else chosen
            assert places is not None, "either probabilities or the chosen labels must be given"
            taken = [self.labels[place] for place in places.tolist()]
            made[self.label_name] = np.array(taken, np.int64) if isinstance(self.labels[0], int) else taken
        if self.probabilities_name:
            assert probabilities is not None, "a model with a probabilities output must have probabilities"
            made[self.probabilities_name] = [dict(zip(self.labels, row, strict=True)) for row in probabilities.tolist()]
        return made
