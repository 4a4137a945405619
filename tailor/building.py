"""Makes and changes models in Python, under the names that coremltools' builders have made known.

Every builder has a ``spec``; ``MLModel.from_spec(builder.spec)`` is the model, and its ``save`` writes it.
"""

from __future__ import annotations

from .runtime.format import (
    AdamParams,
    Batch,
    KNearestNeighborsClassifierBuilder,
    NeuralNetworkBuilder,
    Pipeline,
    PipelineClassifier,
    PipelineRegressor,
    RangeParam,
    SgdParams,
    array_feature,
    attach_neighbors,
    dictionary_feature,
    double_feature,
    image_feature,
    int64_feature,
    make_linked_model,
    make_pipeline,
    sequence_feature,
    string_feature,
)

__all__ = [
    "AdamParams",
    "Batch",
    "KNearestNeighborsClassifierBuilder",
    "NeuralNetworkBuilder",
    "Pipeline",
    "PipelineClassifier",
    "PipelineRegressor",
    "RangeParam",
    "SgdParams",
    "array_feature",
    "attach_neighbors",
    "dictionary_feature",
    "double_feature",
    "image_feature",
    "int64_feature",
    "make_linked_model",
    "make_pipeline",
    "sequence_feature",
    "string_feature",
]
