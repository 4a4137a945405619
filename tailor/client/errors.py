"""What can go wrong between a program and a daemon."""

from __future__ import annotations

from tailor import MLModelError


class MLDaemonError(MLModelError):
    """A daemon did not do what it was asked for.

    ``kind``    the class of the error that the daemon met (``MLNotFoundError``); ``"timeout"``, ``"connection"`` or ``"answer"`` where it
                gave no answer in time, none at all, or none that can be understood.
    ``status``  of its answer in HTTP, ``None`` where there is none.
    ``field``   what in the request is to blame, where something is: ``examples[3].features.point``.
    """

    def __init__(self, message: str, *, kind: str = "answer", status: int | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.field = field


class MLNoDaemonError(MLDaemonError):
    """No daemon answers at the place where it was looked for."""

    def __init__(self, message: str) -> None:
        super().__init__(message, kind="connection")
