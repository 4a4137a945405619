"""What must hold for a parsed message to be a Core ML model at all, so that the code behind can rely on it.

Random bytes often parse: protobuf keeps what it does not know. Nesting needs no check here: protobuf refuses messages more
than 100 levels deep, which is 50 pipelines in one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from ..errors import MLFormatError
from .declared import check_sizes
from .floats import unknown_fields
from .layers import Network
from .schema.model_pb2 import FeatureDescription, FunctionDescription, Model, ModelDescription, Pipeline

NEWEST_VERSION = 10
"""The newest ``specificationVersion`` that the schema covers (iOS 26)."""


def check_model(model: Model, who: str) -> None:
    """Raises ``MLFormatError``, naming ``who`` and the part, unless ``model`` is a Core ML model.

    Checked: a known version; a known type; features with unique names, a type and sizes that can be; pipelines of at least one model, named
    uniquely or not at all, each a model too; no two updatable layers of one name.
    """
    version = model.specificationVersion
    if NEWEST_VERSION < version < 1000:
        raise MLFormatError(f"{who}: expected specification version 1 to {NEWEST_VERSION}, got {version}: it is newer")
    if not 1 <= version <= NEWEST_VERSION:
        raise MLFormatError(f"{who}: expected a Core ML model of specification version 1 to {NEWEST_VERSION}, got {version or 'none'}")
    kind = model.WhichOneof("Type")
    if kind is None:
        raise MLFormatError(f"{who}: expected a model of a type that the format knows, got {_unknown_type(model)}")
    _check_description(model.description, who)
    pipeline = pipeline_of(model)
    if pipeline is not None:
        _check_pipeline(pipeline, who)
    network = network_of(model)
    if network is not None:
        _refuse_repeats((layer.name for layer in network.layers if layer.isUpdatable), f"{who}: updatable layers")


def model_type(model: Model) -> str:
    """The name of the model's type as the format has it, such as ``pipelineClassifier``; ``""`` where it has none."""
    return model.WhichOneof("Type") or ""


def pipeline_of(model: Model) -> Pipeline | None:
    """The pipeline inside ``model``, whichever of the three pipeline types it is; ``None`` for other types."""
    kind = model.WhichOneof("Type")
    if kind == "pipeline":
        return model.pipeline
    if kind == "pipelineClassifier":
        return model.pipelineClassifier.pipeline
    if kind == "pipelineRegressor":
        return model.pipelineRegressor.pipeline
    return None


def network_of(model: Model) -> Network | None:
    """The network inside ``model``, whichever of the three network types it is; ``None`` for other types."""
    kind = model.WhichOneof("Type")
    if kind == "neuralNetwork":
        return model.neuralNetwork
    if kind == "neuralNetworkClassifier":
        return model.neuralNetworkClassifier
    if kind == "neuralNetworkRegressor":
        return model.neuralNetworkRegressor
    return None


def _unknown_type(model: Model) -> str:
    numbers = sorted({number for number, _, _ in unknown_fields(model)})
    return f"none (unknown fields: {', '.join(map(str, numbers[:5]))})" if numbers else "none"


def _check_description(description: ModelDescription | FunctionDescription, who: str) -> None:
    _check_features(description.input, f"{who}: inputs")
    _check_features(description.output, f"{who}: outputs")
    _check_features(description.state, f"{who}: states")
    if isinstance(description, ModelDescription):
        _check_features(description.trainingInput, f"{who}: training inputs")
        for function in description.functions:
            _check_description(function, f"{who}: function {function.name!r}")


def _check_features(features: Sequence[FeatureDescription], who: str) -> None:
    for index, feature in enumerate(features):
        if not feature.name:
            raise MLFormatError(f"{who}: expected a name, got none for number {index}")
        if feature.type.WhichOneof("Type") is None:
            raise MLFormatError(f"{who}: expected a type of {feature.name!r} that the format knows, got none")
        check_sizes(feature.type, f"{who}: {feature.name!r}")
    _refuse_repeats((feature.name for feature in features), who)


def _check_pipeline(pipeline: Pipeline, who: str) -> None:
    if not pipeline.models:
        raise MLFormatError(f"{who}: expected a pipeline of at least one model, got none")
    if pipeline.names and len(pipeline.names) != len(pipeline.models):
        raise MLFormatError(f"{who}: expected as many names as models ({len(pipeline.models)}) or none, got {len(pipeline.names)}")
    _refuse_repeats(pipeline.names, f"{who}: models")
    names = chain(pipeline.names, (f"model{index}" for index in range(len(pipeline.names), len(pipeline.models))))
    for name, model in zip(names, pipeline.models, strict=True):
        check_model(model, f"{who}: model {name!r}")


def _refuse_repeats(names: Iterable[str], who: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise MLFormatError(f"{who}: expected unique names, got {name!r} twice")
        seen.add(name)
