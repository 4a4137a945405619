"""The door of examples: from the wire to the ledger, and from there to training."""

from .batch import LedgerExamples
from .features import Label, PredictionFeatures, TrainingFeatures
from .intake import Intake, rows_of

__all__ = ["Intake", "Label", "LedgerExamples", "PredictionFeatures", "TrainingFeatures", "rows_of"]
