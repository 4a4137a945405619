"""Background requests: who is launched, and what is kept of it (Apple's BGTaskScheduler)."""

from .launch import BGAppRefreshTask, BGProcessingTask, BGTask, Expiry, LaunchFailed
from .launcher import BGTaskScheduler
from .request_store import MemoryRequestStore, RequestStore, RequestStoreError, SQLiteRequestStore

__all__ = [
    "BGAppRefreshTask",
    "BGProcessingTask",
    "BGTask",
    "BGTaskScheduler",
    "Expiry",
    "LaunchFailed",
    "MemoryRequestStore",
    "RequestStore",
    "RequestStoreError",
    "SQLiteRequestStore",
]
