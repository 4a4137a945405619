"""Pipelines from scratch, model by model, under coremltools' names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ...errors import MLFormatError
from ..features import dictionary_feature, label_feature, label_type
from ..schema.model_pb2 import FeatureDescription, Model
from ..schema.model_pb2 import Pipeline as PipelineMessage
from ..validate import check_model, pipeline_of
from .interface import Feature, all_described, described


class Pipeline:
    """Builds a pipeline into ``spec``, a ``Model``: first its interface, then ``add_model`` for each model, in order.

    An input of a model is the output of that name of a model before it, or an input of the pipeline. Its specification
    version is the highest of its models'. ``make_pipeline`` makes the interface from the models' own.

    Raises ``MLFormatError`` where an argument is not what a pipeline can have.
    """

    _KIND: ClassVar[str] = "pipeline"

    def __init__(
        self, input_features: Sequence[Feature], output_features: Sequence[Feature], training_features: Sequence[Feature] | None = None
    ) -> None:
        self.spec = Model(specificationVersion=1)
        getattr(self.spec, self._KIND).SetInParent()
        description = self.spec.description
        description.input.extend(all_described(input_features))
        description.output.extend(all_described(output_features))
        self.set_training_input(training_features or ())

    @property
    def _pipeline(self) -> PipelineMessage:
        pipeline = pipeline_of(self.spec)
        assert pipeline is not None  # made so
        return pipeline

    def add_model(self, spec: Any, name: str | None = None) -> None:
        """Appends a copy of a model: a ``Model``, or an ``MLModel``. Of the models either all have a name or none has."""
        if self.spec.isUpdatable:
            raise MLFormatError("pipeline: expected all models before it is made updatable, got another one")
        model = getattr(spec, "spec", spec)
        if not isinstance(model, Model):
            raise MLFormatError(f"pipeline: expected a Model or an MLModel, got {type(spec).__name__}")
        pipeline = self._pipeline
        if len(pipeline.names) != (len(pipeline.models) if name is not None else 0):
            raise MLFormatError(f"pipeline: expected a name for every model or for none, got {name!r} for number {len(pipeline.models)}")
        if name is not None:
            pipeline.names.append(name)
        pipeline.models.append(model)
        self.spec.specificationVersion = max(self.spec.specificationVersion, model.specificationVersion)
        check_model(self.spec, "pipeline")

    def make_updatable(self) -> None:
        """Marks the pipeline updatable; its last model must be, and no other. ``set_training_input`` says what it trains with."""
        marked = [model.isUpdatable for model in self._pipeline.models]
        if not marked or any(marked[:-1]) or not marked[-1]:
            raise MLFormatError(
                f"pipeline: expected the last model to be updatable, and no other, got {sum(marked)} of {len(marked)} that are"
            )
        self.spec.isUpdatable = True

    def set_training_input(self, training_input: Sequence[Feature]) -> None:
        """Sets what the pipeline trains with."""
        del self.spec.description.trainingInput[:]
        self.spec.description.trainingInput.extend(all_described(training_input))


class PipelineRegressor(Pipeline):
    """A ``Pipeline`` that ends in a regressor; its one output, a double, is the predicted feature."""

    _KIND = "pipelineRegressor"

    def __init__(
        self, input_features: Sequence[Feature], output_features: Sequence[Feature], training_features: Sequence[Feature] | None = None
    ) -> None:
        outputs = all_described(output_features)
        if len(outputs) != 1 or outputs[0].type.WhichOneof("Type") != "doubleType":
            got = ", ".join(f"{feature.name!r} ({feature.type.WhichOneof('Type')})" for feature in outputs)
            raise MLFormatError(f"pipeline regressor: expected one output, a double, got {got or 'none'}")
        super().__init__(input_features, outputs, training_features)
        self.spec.description.predictedFeatureName = outputs[0].name


class PipelineClassifier(Pipeline):
    """A ``Pipeline`` that ends in a classifier.

    ``class_labels``: the labels that its classifier has, all strings or all whole numbers; the models keep them, here they tell
    the type of the outputs. ``output_features``: the names of the label and of the dictionary of probabilities, or of the
    label alone (``classProbability`` then); or the two features. Default: ``classLabel``, ``classProbability``.
    """

    _KIND = "pipelineClassifier"

    def __init__(
        self, input_features: Sequence[Feature], class_labels: Sequence[str] | Sequence[int],
        output_features: str | Sequence[str] | Sequence[Feature] | None = None, training_features: Sequence[Feature] | None = None,
    ) -> None:  # fmt: skip
        keys = label_type(class_labels, "pipeline classifier")
        names = ["classLabel"] if output_features is None else [output_features] if isinstance(output_features, str) else [*output_features]
        if len(names) == 1 and isinstance(names[0], str):
            names.append("classProbability")
        if len(names) != 2:
            raise MLFormatError(f"pipeline classifier: expected two outputs, the label and the probabilities, got {len(names)}")
        expected = (label_feature("classLabel", class_labels), dictionary_feature("classProbability", keys))
        made = [
            FeatureDescription(name=feature, type=wanted.type) if isinstance(feature, str) else described(feature)
            for feature, wanted in zip(names, expected, strict=True)
        ]
        for feature, wanted in zip(made, expected, strict=True):
            if feature.type != wanted.type:
                told = f"expected a {wanted.type.WhichOneof('Type')} for labels of type {keys.__name__}, got another type"
                raise MLFormatError(f"pipeline classifier: output {feature.name!r}: {told}")
        super().__init__(input_features, made, training_features)
        description = self.spec.description
        description.predictedFeatureName, description.predictedProbabilitiesName = (feature.name for feature in made)
