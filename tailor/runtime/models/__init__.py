"""The model families: what predicts with a model message, and what learns."""

from __future__ import annotations

from .family import Column, Columns, Learner, Predictor
from .missing import TAKES_ABSENCE, TAKES_NAN, inputs_to
from .origin import Origin
from .registry import build_learner, build_predictor, frozen_front

__all__ = [
    "TAKES_ABSENCE",
    "TAKES_NAN",
    "Column",
    "Columns",
    "Learner",
    "Origin",
    "Predictor",
    "build_learner",
    "build_predictor",
    "frozen_front",
    "inputs_to",
]
