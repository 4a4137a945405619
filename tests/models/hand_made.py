"""Small models made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tailor.runtime.format import KNearestNeighborsClassifierBuilder, Model
from tailor.runtime.format.features import double_feature

X, Y, Z = double_feature("x"), double_feature("y"), double_feature("z")


def classifier(
    samples: Sequence[Sequence[float]],
    labels: Sequence[str] | Sequence[int],
    *,
    k: int = 5,
    weighting: str = "inverse_distance",
    default: str | int = "unknown",
    dimensions: int = 2,
    kd_tree: bool = False,
) -> Model:
    """A nearest neighbour classifier from ``input`` to ``label`` and ``labelProbs``; labels are of the type of ``default``."""
    index = "kd_tree" if kd_tree else "linear"
    builder = KNearestNeighborsClassifierBuilder("input", "label", dimensions, default, k, weighting, index)
    if samples:
        builder.add_samples(np.array(samples, np.float32), labels)
    return builder.spec


def model(inputs: Sequence[Any], outputs: Sequence[Any]) -> Model:
    """A model of no importance with these features."""
    made = Model(specificationVersion=4)
    made.identity.SetInParent()
    made.description.input.extend(inputs)
    made.description.output.extend(outputs)
    return made


def holding(message: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> Model:
    """A model with these features whose type is that of ``message``, which it holds."""
    made = model(inputs, outputs)
    name = type(message).__name__
    getattr(made, name[0].lower() + name[1:]).CopyFrom(message)
    return made


def doubles(*numbers: float) -> list[bytes]:
    """What a list of doubles of the schema is set to."""
    return [np.array(numbers, "<f8").tobytes()]


def pipeline(
    models: Sequence[Model],
    inputs: Sequence[Any] = (),
    outputs: Sequence[Any] = (),
    names: Sequence[str] = (),
    kind: str = "pipeline",
    updatable: bool = False,
) -> Model:
    """A pipeline of ``models``, whether or not they go together."""
    made = Model(specificationVersion=4, isUpdatable=updatable)
    row = made.pipeline if kind == "pipeline" else getattr(made, kind).pipeline
    row.models.extend(models)
    row.names.extend(names)
    made.description.input.extend(inputs)
    made.description.output.extend(outputs)
    return made
