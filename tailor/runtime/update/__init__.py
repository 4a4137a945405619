"""Updates: training a model on its user's examples, as a task."""

from .context import MLMetricKey, MLUpdateContext, MLUpdateProgressEvent, MLUpdateProgressHandlers
from .task import MLUpdateTask

__all__ = ["MLMetricKey", "MLUpdateContext", "MLUpdateProgressEvent", "MLUpdateProgressHandlers", "MLUpdateTask"]
