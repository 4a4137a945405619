"""The model families: what predicts with a model message, and what learns."""

from __future__ import annotations

from .family import Column, Columns, Learner, Movable, Predictor, Resident, kept_here
from .judges import Judge, build_judge
from .layer_weights import read_weights, trainable_weights, weights_writer
from .missing import TAKES_ABSENCE, TAKES_NAN, inputs_to
from .neighbors import ORIGINS, Neighbor, NeighborsAsked
from .origin import Origin
from .pipeline import PipelinePredictor
from .registry import build_learner, build_predictor
from .samples import Taught, last_classifier

__all__ = [
    "ORIGINS",
    "TAKES_ABSENCE",
    "TAKES_NAN",
    "Column",
    "Columns",
    "Judge",
    "Learner",
    "Movable",
    "Neighbor",
    "NeighborsAsked",
    "Origin",
    "PipelinePredictor",
    "Predictor",
    "Resident",
    "Taught",
    "build_judge",
    "build_learner",
    "build_predictor",
    "inputs_to",
    "kept_here",
    "last_classifier",
    "read_weights",
    "trainable_weights",
    "weights_writer",
]
