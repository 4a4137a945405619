"""What the ledger refuses, and what keeps it from doing what was asked. Whatever it raises, nothing of the change is there."""

from __future__ import annotations

from typing import Literal, TypeAlias

from tailor import MLConflictError, MLLimitError, MLModelError, MLModelErrorCode, MLNotFoundError

Trouble: TypeAlias = Literal["refused", "disk full", "foreign", "newer", "failed"]


class LedgerError(MLModelError):
    """The ledger's file is not ours or cannot be read or written, or a change is refused: nothing of it is there.

    ``kind``: ``"refused"`` for what cannot be, ``"disk full"``, ``"foreign"`` for somebody else's file, ``"newer"`` for one of a later
    version of tailor, ``"failed"`` for all else that SQLite or the system says.
    """

    code = MLModelErrorCode.IO

    def __init__(self, message: str, kind: Trouble = "refused") -> None:
        super().__init__(message)
        self.kind = kind


class LedgerMissing(LedgerError, MLNotFoundError):
    """A model, user, update or example that the ledger does not have."""


class LedgerBusy(LedgerError, MLConflictError):
    """Something else needs what was to be removed or forgotten, or to be there only once."""


class LedgerMoved(LedgerError, MLConflictError):
    """The registered model is another by now than the one that the change was made for: it is to be made anew for that."""

    def __init__(self, model: str) -> None:
        super().__init__(f"model {model!r}: expected the one that this was made for, got another that has replaced it meanwhile; ask again")


class LedgerConflict(LedgerError, MLConflictError):
    """``index``: which of the new examples, from 0, has the ``id`` of another that is kept, or is before it."""

    def __init__(self, index: int, id: str) -> None:
        super().__init__(f"example {index}: expected an id of its own or the content that is kept under it, got {id!r} with other content")
        self.index, self.id = index, id


class LedgerFull(LedgerError, MLLimitError):
    """``which`` of the limits, by its name in the settings, would be passed; ``limit`` is its bound."""

    def __init__(self, which: str, limit: int, got: int) -> None:
        super().__init__(f"limits.{which}: expected {limit} at most, got {got}")
        self.which, self.limit = which, limit
