"""The roof: models, values, tasks, updates, the network engine and the Core ML file format."""

from tailor.persistence import Snapshot

from .background import Runtime
from .configuration import MLComputeUnits, MLModelConfiguration
from .description import (
    MLDictionaryConstraint,
    MLFeatureDescription,
    MLImageConstraint,
    MLModelDescription,
    MLMultiArrayConstraint,
    MLSequenceConstraint,
)
from .errors import (
    MLFeatureError,
    MLFormatError,
    MLModelError,
    MLModelErrorCode,
    MLParameterError,
    MLSnapshotError,
    MLTaskCancelledError,
    MLTaskStateError,
    MLUnsupportedError,
    MLUpdateError,
)
from .model import MLLayer, MLModel
from .parameters import MLParameterDescription, MLParameterKey
from .snapshots import read_snapshot, restore_snapshot, take_snapshot, write_snapshot
from .task import MLTask, MLTaskState
from .update import MLMetricKey, MLUpdateContext, MLUpdateProgressEvent, MLUpdateProgressHandlers, MLUpdateTask
from .values import (
    MLArrayBatchProvider,
    MLBatchProvider,
    MLDictionaryFeatureProvider,
    MLFeatureProvider,
    MLFeatureType,
    MLFeatureValue,
    MLMultiArray,
    MLMultiArrayDataType,
)

__all__ = [
    "MLArrayBatchProvider",
    "MLBatchProvider",
    "MLComputeUnits",
    "MLDictionaryConstraint",
    "MLDictionaryFeatureProvider",
    "MLFeatureDescription",
    "MLFeatureError",
    "MLFeatureProvider",
    "MLFeatureType",
    "MLFeatureValue",
    "MLFormatError",
    "MLImageConstraint",
    "MLLayer",
    "MLMetricKey",
    "MLModel",
    "MLModelConfiguration",
    "MLModelDescription",
    "MLModelError",
    "MLModelErrorCode",
    "MLMultiArray",
    "MLMultiArrayConstraint",
    "MLMultiArrayDataType",
    "MLParameterDescription",
    "MLParameterError",
    "MLParameterKey",
    "MLSequenceConstraint",
    "MLSnapshotError",
    "MLTask",
    "MLTaskCancelledError",
    "MLTaskState",
    "MLTaskStateError",
    "MLUnsupportedError",
    "MLUpdateContext",
    "MLUpdateError",
    "MLUpdateProgressEvent",
    "MLUpdateProgressHandlers",
    "MLUpdateTask",
    "Runtime",
    "Snapshot",
    "read_snapshot",
    "restore_snapshot",
    "take_snapshot",
    "write_snapshot",
]
