"""The roof: models, values, tasks, updates, the network engine and the Core ML file format."""

from tailor.persistence import Snapshot

from .background import Runtime
from .configuration import MLComputeUnits, MLModelConfiguration
from .custom import MLCustomLayer, register_custom_layer
from .description import (
    MLDictionaryConstraint,
    MLFeatureDescription,
    MLImageConstraint,
    MLModelDescription,
    MLMultiArrayConstraint,
    MLSequenceConstraint,
)
from .errors import (
    MLCustomLayerError,
    MLFeatureError,
    MLFormatError,
    MLModelError,
    MLModelErrorCode,
    MLParameterError,
    MLPredictionCancelledError,
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
    "MLCustomLayer",
    "MLCustomLayerError",
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
    "MLPredictionCancelledError",
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
    "register_custom_layer",
    "restore_snapshot",
    "take_snapshot",
    "write_snapshot",
]
