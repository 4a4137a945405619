"""Which error is which status. A client is told what went wrong and never how: that is for the log."""

from __future__ import annotations

import errno
import logging
import sqlite3
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect

from tailor import (
    MLBusyError,
    MLConflictError,
    MLFeatureError,
    MLFormatError,
    MLLimitError,
    MLModelError,
    MLNotFoundError,
    MLStoreConflictError,
    MLTaskStateError,
    MLUnsupportedError,
    MLUpdateError,
)
from tailor.client import ErrorDetail, ErrorRecord

from ..configuration import SettingsError

LOG = logging.getLogger("tailor.daemon.api")

KINDS: dict[int, str] = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    413: "ContentTooLarge",
    415: "UnsupportedMediaType",
    431: "RequestHeaderFieldsTooLarge",
    499: "ClientClosedRequest",  # which nobody sees
    500: "InternalServerError",
    503: "ServiceUnavailable",
    507: "InsufficientStorage",
}
"""What an error is called that is HTTP's and not tailor's."""

STATUSES: tuple[tuple[type[MLModelError], int], ...] = (
    (MLNotFoundError, 404),
    (MLConflictError, 409),
    (MLTaskStateError, 409),
    (MLStoreConflictError, 409),
    (MLLimitError, 429),
    (MLBusyError, 503),
    (MLFeatureError, 422),
    (MLUpdateError, 422),  # and MLParameterError
    (MLFormatError, 422),
    (MLUnsupportedError, 422),
    (SettingsError, 422),
)
"""The first that an error is one of counts."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


class Refusal(Exception):
    """A request that HTTP itself refuses, by ``status``. ``field``: what in the request is to blame."""

    def __init__(self, status: int, message: str, *, field: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.field, self.headers = status, field, headers or {}


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is none: its status, its body and its headers."""

    status: int
    record: ErrorRecord
    headers: dict[str, str] = field(default_factory=dict)


def failure_of(error: Exception, asked: str) -> Failure:
    """What a client is told of ``error``. What the daemon itself is to blame for is logged, with what was ``asked``."""
    if isinstance(error, Refusal):
        return _told(error.status, KINDS[error.status], str(error), error.field, error.headers)
    if isinstance(error, ClientDisconnect):
        return _told(499, KINDS[499], "the client went away")
    if _is_full(error):
        LOG.error("%s: %s", asked, error)
        return _told(507, KINDS[507], "expected room on the disk, got none")
    if isinstance(error, MLModelError):
        for kind, status in STATUSES:
            if isinstance(error, kind):
                return _told(status, _public(error), str(error), headers={"Retry-After": "1"} if status == 503 else None)
    LOG.error("%s failed", asked, exc_info=error)
    if isinstance(error, MLModelError):  # a store that is broken, say: its words are meant to be read
        return _told(500, _public(error), str(error))
    return _told(500, KINDS[500], "the daemon failed; its log says how")


def _public(error: MLModelError) -> str:
    """The name of an error's class, or of that above it which others know."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__.startswith("tailor.runtime"))


def _told(status: int, kind: str, message: str, field: str | None = None, headers: dict[str, str] | None = None) -> Failure:
    return Failure(status, ErrorRecord(error=ErrorDetail(kind=kind, message=message, field=field)), headers or {})


def _is_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return True
        if getattr(error, "kind", None) == "disk full":  # the ledger's word for it
            return True
        error = error.__cause__
    return False
