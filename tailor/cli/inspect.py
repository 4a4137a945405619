"""``tailor inspect``: what a model is, takes, answers and lets be changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tailor import MLFeatureDescription, MLModel, MLModelDescription

from .page import print_page
from .terminal import print_json


def inspect(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .mlmodel file or .mlpackage folder.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Everything, layers included, as one JSON object.")] = False,
    layers: Annotated[bool, typer.Option("--layers", help="List every layer, not only how many of each kind.")] = False,
) -> None:
    """Show inputs, outputs, parameters and layers of a model.

    \b
    Example: tailor inspect UpdatableDrawingClassifier.mlmodel
    """
    loaded = MLModel(model)
    if as_json:
        print_json(facts(loaded))
    else:
        print_page(facts(loaded), layers)


def facts(model: MLModel, name: str | None = None) -> dict[str, Any]:
    """What ``--json`` shows of a model; of a pipeline, its parts too."""
    description = model.description
    metadata = description.metadata
    return {
        "name": model.name if name is None else name,
        "type": model.model_type,
        "size": model.size,
        "specificationVersion": model.specification_version,
        "isUpdatable": description.is_updatable,
        "author": metadata.author,
        "license": metadata.license,
        "version": metadata.version,
        "description": metadata.short_description,
        "userDefined": dict(sorted(metadata.user_defined.items())),
        "inputs": _features(description.input_descriptions_by_name.values()),
        "outputs": _features(description.output_descriptions_by_name.values()),
        "trainingInputs": _features(description.training_input_descriptions_by_name.values()),
        "predictedFeatureName": description.predicted_feature_name or None,
        "predictedProbabilitiesName": description.predicted_probabilities_name or None,
        "classLabels": list(description.class_labels),
        "parameters": _parameters(description),
        "layers": [
            {"name": row.name, "kind": row.kind, "inputs": row.inputs, "outputs": row.outputs, "isUpdatable": row.updatable}
            for row in model.layers
        ],
        "models": [facts(part, name) for name, part in model.models],
    }


def _features(features: Any) -> list[dict[str, Any]]:
    return [_feature(feature) for feature in features]


def _feature(feature: MLFeatureDescription) -> dict[str, Any]:
    return {
        "name": feature.name,
        "type": feature.type.name.lower(),
        "phrase": feature.phrase,
        "isOptional": feature.optional,
        "description": feature.short_description,
    }


def _parameters(description: MLModelDescription) -> list[dict[str, Any]]:
    return [
        {
            "key": str(key),
            "default": parameter.default_value,
            "minimum": parameter.minimum,
            "maximum": parameter.maximum,
            "allowed": parameter.allowed_values,
            "phrase": parameter.constraint,
        }
        for key, parameter in description.parameter_descriptions_by_key.items()
    ]
