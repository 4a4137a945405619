"""What went wrong, as one line on stderr and an exit code; never a traceback."""

from __future__ import annotations

import json
import sys
from enum import IntEnum
from importlib import import_module
from typing import Any

import typer

from tailor import MLModelError
from tailor.persistence import StoreError

# Before typer 0.29 these were the errors of click, on which it was built; Flower needs such an old one.
WrongCommand: Any = typer.TyperException if hasattr(typer, "TyperException") else import_module("click").ClickException


class ExitCode(IntEnum):
    """How the command ended. ``SETTINGS``: those of the daemon are wrong; EX_CONFIG of BSD's sysexits."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SETTINGS = 78
    INTERRUPTED = 130


def report(error: BaseException, as_json: bool) -> ExitCode:
    """Says on stderr what ``error`` is, and gives the exit code for it."""
    code, kind, message, number = _explained(error)
    if as_json:
        told: dict[str, object] = {"type": kind, "message": message}
        if number is not None:
            told["code"] = number
        print(json.dumps({"error": told}), file=sys.stderr)
    else:
        print(f"tailor: {message}", file=sys.stderr)
    return code


def _explained(error: BaseException) -> tuple[ExitCode, str, str, int | None]:
    """Exit code, kind, message, and Core ML's number for the kind of failure where it has one."""
    if isinstance(error, WrongCommand):
        usage = error.exit_code == ExitCode.USAGE
        return ExitCode(error.exit_code), "usage" if usage else type(error).__name__, error.format_message() + _hint(error), None
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return ExitCode.INTERRUPTED, "interrupted", "interrupted", None
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return _explained(error.exceptions[0])
    if isinstance(error, MLModelError):
        told_by_a_daemon = hasattr(error, "status")  # its class needs an extra; ``kind`` is what the daemon met
        return ExitCode.FAILED, getattr(error, "kind", "") if told_by_a_daemon else type(error).__name__, str(error), int(error.code)
    if isinstance(error, StoreError):  # of a key, which is read here and not by the roof
        return ExitCode.FAILED, type(error).__name__, str(error), None
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return ExitCode.FAILED, type(error).__name__, f"{where}{error.strerror}", None
    if isinstance(error, MemoryError):
        return ExitCode.FAILED, "MemoryError", "not enough memory for this model and data", None
    unexpected = f"unexpected {type(error).__name__}: {error} (this is a mistake in tailor; --traceback shows where)"
    return ExitCode.FAILED, type(error).__name__, unexpected, None


def _hint(error: BaseException) -> str:
    """Where to read on, after a mistake in the command line."""
    context = getattr(error, "ctx", None)
    return f"\nTry '{context.command_path} --help'." if context is not None else ""
