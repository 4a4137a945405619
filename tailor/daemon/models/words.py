"""What is told of a model, in words and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tailor import MLDictionaryConstraint, MLFeatureDescription, MLModel, MLMultiArrayConstraint
from tailor.client import FeatureRecord


@dataclass(frozen=True, slots=True)
class ModelWords:
    """A model's features and parameters by name, each in words; ``features``: inputs and training inputs for programs."""

    is_updatable: bool = False
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    training_inputs: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    features: dict[str, FeatureRecord] = field(default_factory=dict)


def words_of(model: MLModel) -> ModelWords:
    """What ``model`` says of itself."""
    told = model.description
    parameters = {
        str(key): f"{'drawn' if one.default_value is None else one.default_value}: {one.constraint}"
        for key, one in told.parameter_descriptions_by_key.items()
    }
    return ModelWords(
        told.is_updatable,
        _phrases(told.input_descriptions_by_name),
        _phrases(told.output_descriptions_by_name),
        _phrases(told.training_input_descriptions_by_name),
        parameters,
        {name: _record(one) for name, one in {**told.training_input_descriptions_by_name, **told.input_descriptions_by_name}.items()},
    )


def _record(feature: MLFeatureDescription) -> FeatureRecord:
    kind, told = feature.type.name.lower(), feature.constraint
    if isinstance(told, MLMultiArrayConstraint):
        return FeatureRecord(type=kind, optional=feature.optional, shape=list(told.shape), data_type=told.data_type.name.lower())
    keys = told.key_type.name.lower() if isinstance(told, MLDictionaryConstraint) else None
    return FeatureRecord(type=kind, optional=feature.optional, keys=keys)


def _phrases(features: Mapping[str, MLFeatureDescription]) -> dict[str, str]:
    return {name: feature.phrase + (", optional" if feature.optional else "") for name, feature in features.items()}
