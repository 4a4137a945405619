"""Updates: training a model on its user's examples, as a task."""

from .checkpoint import read_checkpoint, write_checkpoint
from .context import MLMetricKey, MLUpdateContext, MLUpdateProgressEvent, MLUpdateProgressHandlers
from .guard import MLGuardScores, MLUpdateGuard, MLUpdateVerdict
from .saving import MLCheckpoints
from .task import MLUpdateTask

__all__ = [
    "MLCheckpoints",
    "MLGuardScores",
    "MLMetricKey",
    "MLUpdateContext",
    "MLUpdateGuard",
    "MLUpdateProgressEvent",
    "MLUpdateProgressHandlers",
    "MLUpdateTask",
    "MLUpdateVerdict",
    "read_checkpoint",
    "write_checkpoint",
]
