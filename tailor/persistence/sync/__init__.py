"""Two stores that learn what the other has."""

from .report import SYNC_LIMITS, SyncDirection, SyncedName, SyncLimits, SyncOutcome, SyncProgressed, SyncReport
from .sync import sync

__all__ = ["SYNC_LIMITS", "SyncDirection", "SyncLimits", "SyncOutcome", "SyncProgressed", "SyncReport", "SyncedName", "sync"]
