"""Pipelines from scratch: models one after the other, joined by the names of their features."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import MLFormatError
from ..schema.model_pb2 import FeatureDescription, Model, Pipeline
from ..validate import check_model


def make_pipeline(kind: str | None, models: Sequence[Model], names: Sequence[str] = (), outputs: Sequence[str] | None = None) -> Model:
    """A pipeline of copies of ``models``; ``kind``: ``None``, ``"classifier"`` or ``"regressor"``.

    An input of a model is the output of that name of a model before it, or else an input of the pipeline. ``outputs``
    are the names of the features that the pipeline gives (default: those of the last model). Where the last model is
    updatable so is the pipeline: it trains with its own inputs and whatever else the last model trains with.

    Raises ``MLFormatError`` where there are no models, an output is made by none, a feature changes its type between two
    models, a model before the last is updatable, or ``names`` are not unique and as many as the models.
    """
    if not models:
        raise MLFormatError("pipeline: expected at least one model, got none")
    spec = Model(specificationVersion=max(model.specificationVersion for model in models))
    pipeline = _pipeline(spec, kind)
    pipeline.models.extend(models)
    pipeline.names.extend(names)
    description, last = spec.description, models[-1]

    given: dict[str, FeatureDescription] = {}
    made: dict[str, FeatureDescription] = {}
    for model in models:
        for feature in model.description.input:
            source = made.get(feature.name) or given.setdefault(feature.name, feature)
            if source.type.WhichOneof("Type") != feature.type.WhichOneof("Type"):
                raise MLFormatError(
                    f"pipeline: expected {feature.name!r} to be {feature.type.WhichOneof('Type')}, got {source.type.WhichOneof('Type')}"
                )
        if model is not last and model.isUpdatable:
            raise MLFormatError("pipeline: expected only the last model to be updatable, got one before it")
        made |= {feature.name: feature for feature in model.description.output}
    description.input.extend(given.values())
    wanted = [feature.name for feature in last.description.output] if outputs is None else outputs
    absent = [name for name in wanted if name not in made]
    if absent:
        raise MLFormatError(f"pipeline: expected outputs among {', '.join(made)}, got {', '.join(absent)}")
    description.output.extend(made[name] for name in wanted)
    if kind is not None:
        description.predictedFeatureName = last.description.predictedFeatureName
        description.predictedProbabilitiesName = last.description.predictedProbabilitiesName
    if last.isUpdatable:
        spec.isUpdatable = True
        own = {feature.name for feature in last.description.input}
        description.trainingInput.extend(given.values())
        description.trainingInput.extend(
            feature for feature in last.description.trainingInput if feature.name not in own and feature.name not in given
        )
    check_model(spec, "pipeline")
    return spec


def _pipeline(spec: Model, kind: str | None) -> Pipeline:
    if kind == "classifier":
        return spec.pipelineClassifier.pipeline
    if kind == "regressor":
        return spec.pipelineRegressor.pipeline
    if kind is None:
        return spec.pipeline
    raise MLFormatError(f"pipeline: expected a kind of None, 'classifier' or 'regressor', got {kind!r}")
