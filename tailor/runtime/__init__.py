"""The roof: models, values, tasks, updates, the network engine and the Core ML file format."""

from tailor.persistence import Snapshot

from .background import Runtime
from .configuration import MLComputeUnits, MLModelConfiguration
from .conversion import convert
from .custom import MLCustomLayer, register_custom_layer
from .custom_models import MLCustomModel, register_custom_model, register_model_provider
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
    MLCustomModelError,
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
    MLImageCropAndScale,
    MLImageOption,
    MLMultiArray,
    MLMultiArrayDataType,
)

__all__ = [
    "MLArrayBatchProvider",
    "MLBatchProvider",
    "MLComputeUnits",
    "MLCustomLayer",
    "MLCustomLayerError",
    "MLCustomModel",
    "MLCustomModelError",
    "MLDictionaryConstraint",
    "MLDictionaryFeatureProvider",
    "MLFeatureDescription",
    "MLFeatureError",
    "MLFeatureProvider",
    "MLFeatureType",
    "MLFeatureValue",
    "MLFormatError",
    "MLImageConstraint",
    "MLImageCropAndScale",
    "MLImageOption",
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
    "convert",
    "read_snapshot",
    "register_custom_layer",
    "register_custom_model",
    "register_model_provider",
    "restore_snapshot",
    "take_snapshot",
    "write_snapshot",
]
