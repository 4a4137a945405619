"""The doctor: what keeps a model from being updated, and what of that can be repaired."""

from __future__ import annotations

from .diagnosis import trainability
from .repairs import Asked, repaired, set_loss
from .report import MLFinding, MLFindingSeverity, MLRepair, MLRepairReport, MLTrainability, MLTrainableLayer

__all__ = [
    "Asked",
    "MLFinding",
    "MLFindingSeverity",
    "MLRepair",
    "MLRepairReport",
    "MLTrainability",
    "MLTrainableLayer",
    "repaired",
    "set_loss",
    "trainability",
]
