"""Stores of personalised models: what the versions that they keep mean."""

from .comparing import MLExampleDifference, MLModelDifference, MLWeightDifference, compare_models
from .forgetting import MLForgetReport
from .keys import MLStoreKeys
from .maintaining import MLImported, MLPruneReport
from .merge_versions import MLMergeReport
from .model_store import MLModelStore
from .policies import MLMergePolicy
from .rebasing import MLRebaseReport
from .syncing import MLSynced, MLSyncReport
from .versions import MLVersion

__all__ = [
    "MLExampleDifference",
    "MLForgetReport",
    "MLImported",
    "MLMergePolicy",
    "MLMergeReport",
    "MLModelDifference",
    "MLModelStore",
    "MLPruneReport",
    "MLRebaseReport",
    "MLStoreKeys",
    "MLSyncReport",
    "MLSynced",
    "MLVersion",
    "MLWeightDifference",
    "compare_models",
]
