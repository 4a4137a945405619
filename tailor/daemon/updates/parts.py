"""What updates are made with, and the settings that hold for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tailor import MLModelStore, MLStoreError, MLStoreMissingError, Runtime

from ..configuration import Settings, Updates
from ..events import Events
from ..ledger import Ledger, LedgerError
from ..models import ModelRegistry
from ..turns import Turns
from .checkpoints import Checkpoints


@dataclass(slots=True)
class Parts:
    """The parts of a daemon that updates need. ``settings`` may be set anew.

    ``moved``  told whose model is another one now; ``kept``: whose update was kept.
    """

    ledger: Ledger
    registry: ModelRegistry
    store: MLModelStore
    runtime: Runtime
    events: Events
    turns: Turns
    checkpoints: Checkpoints
    settings: Settings
    now: Callable[[], datetime]
    moved: Callable[[str, str], None]
    kept: Callable[[str, str], None]

    def rules(self, model: str) -> Updates:
        """What the settings say of updates of a model."""
        own = self.settings.models.get(model)
        return self.settings.updates if own is None or own.updates is None else own.updates


def place_failed(error: BaseException | None) -> bool:
    """Whether what was raised is a place's fault (disk, store, ledger), which may be mended, and not that of what was to be done."""
    while error is not None:
        match error:
            case MLStoreMissingError():
                return False
            case MLStoreError() | OSError():
                return True
            case LedgerError():
                return error.kind in ("disk full", "failed")
        error = error.__cause__
    return False
