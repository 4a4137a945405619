"""The model families: what predicts with a model message, and what learns."""

from __future__ import annotations

from .family import Column, Columns, Learner, Predictor
from .registry import build_learner, build_predictor, frozen_front

__all__ = ["Column", "Columns", "Learner", "Predictor", "build_learner", "build_predictor", "frozen_front"]
