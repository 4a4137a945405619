"""Builds models from scratch, under the names that coremltools' builders have made known."""

from __future__ import annotations

from .neighbors import KNearestNeighborsClassifierBuilder
from .network import NeuralNetworkBuilder
from .pipeline import make_pipeline
from .training import AdamParams, SgdParams

__all__ = ["AdamParams", "KNearestNeighborsClassifierBuilder", "NeuralNetworkBuilder", "SgdParams", "make_pipeline"]
