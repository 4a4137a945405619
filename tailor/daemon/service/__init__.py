"""The door of the service: the daemon as a process that others start, stop and back up."""

from .backup import BackupReport, back_up
from .installing import Unit, unit
from .lock import LOCK, locked, process_of
from .logs import LogFormat
from .process import Asked, run_daemon
from .restoring import RestoreReport, restore_daemon
from .stores import store_of

__all__ = [
    "LOCK",
    "Asked",
    "BackupReport",
    "LogFormat",
    "RestoreReport",
    "Unit",
    "back_up",
    "locked",
    "process_of",
    "restore_daemon",
    "run_daemon",
    "store_of",
    "unit",
]
