"""Builds models from scratch, under the names that coremltools' builders have made known."""

from __future__ import annotations

from .linked import attach_neighbors, make_linked_model
from .neighbors import KNearestNeighborsClassifierBuilder
from .network import NeuralNetworkBuilder
from .pipeline import make_pipeline
from .pipelines import Pipeline, PipelineClassifier, PipelineRegressor
from .training import AdamParams, Batch, RangeParam, SgdParams

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
    "attach_neighbors",
    "make_linked_model",
    "make_pipeline",
]
