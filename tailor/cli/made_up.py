"""Examples made up for a model, where nobody gave any: seeded numbers and pixels of the declared sizes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tailor import (
    MLFeatureDescription,
    MLFeatureError,
    MLFeatureType,
    MLImageConstraint,
    MLModel,
    MLMultiArrayConstraint,
    MLMultiArrayDataType,
)
from tailor.runtime.network import indices as taken_for_indices


def made_up(model: MLModel, given: Mapping[str, object], count: int) -> list[dict[str, object]]:
    """``count`` examples, the same every time; inputs that are ``given`` are so in all of them, optional ones are left out.

    Numbers lie between 0 and 1, whole ones are 0 or 1, arrays and images have the size that the model declares first. What a
    layer takes for indices is 0. Raises ``MLFeatureError`` naming an input that only who knows the model can give: text,
    dictionaries, sequences.
    """
    random = np.random.default_rng(0)
    inputs = model.description.input_descriptions_by_name
    made = {name: one for name, one in inputs.items() if name in given or not one.optional}
    zero = indices(model)
    return [{name: given[name] if name in given else _value(one, random, name in zero) for name, one in made.items()} for _ in range(count)]


def indices(model: MLModel) -> set[str]:
    """The inputs, of a pipeline those of the models in it too, that layers such as embeddings take for indices."""
    return taken_for_indices(model.layers, {name for _, part in model.models for name in indices(part)})


def _value(one: MLFeatureDescription, random: np.random.Generator, zero: bool) -> object:
    constraint = one.constraint
    if one.type is MLFeatureType.DOUBLE:
        return float(random.random())
    if one.type is MLFeatureType.INT64:
        return int(random.integers(2))
    if isinstance(constraint, MLMultiArrayConstraint) and constraint.shape:
        if zero:
            return np.zeros(constraint.shape, np.int32)
        if constraint.data_type is MLMultiArrayDataType.INT32:
            return random.integers(0, 2, constraint.shape, np.int32)
        return random.random(constraint.shape, np.float32)
    if isinstance(constraint, MLImageConstraint) and constraint.pixels_wide:
        # three channels also where the model takes one: images are converted as any other
        return random.integers(0, 256, (constraint.pixels_high, constraint.pixels_wide, 3), np.uint8)
    raise MLFeatureError(f"input {one.name!r}: expected --input {one.name}=VALUE, for {one.phrase} cannot be made up")
