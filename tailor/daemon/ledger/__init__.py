"""The ledger: what the daemon must not forget, in one SQLite file."""

from .errors import LedgerBusy, LedgerConflict, LedgerError, LedgerFull, LedgerMissing, LedgerMoved
from .ledger import Ledger, open_ledger
from .rows import FINAL, FinalState, KeptModel, KeptUpdate, KeptUser, NewPlan, NewRow, Totals, TrainingRow

__all__ = [
    "FINAL",
    "FinalState",
    "KeptModel",
    "KeptUpdate",
    "KeptUser",
    "Ledger",
    "LedgerBusy",
    "LedgerConflict",
    "LedgerError",
    "LedgerFull",
    "LedgerMissing",
    "LedgerMoved",
    "NewPlan",
    "NewRow",
    "Totals",
    "TrainingRow",
    "open_ledger",
]
