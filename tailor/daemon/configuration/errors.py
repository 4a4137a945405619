"""What is wrong with a file of settings: all of it at once, each with its line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tailor import MLModelError, MLModelErrorCode


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. ``line``: counted from 1, ``None`` where no line is to blame; ``field``: ``updates.examples``, or ``""``."""

    line: int | None
    field: str
    expected: str
    got: str

    def __str__(self) -> str:
        where = [f"line {self.line}"] if self.line is not None else []
        return ": ".join([*where, *([self.field] if self.field else []), f"expected {self.expected}, got {self.got}"])


class SettingsError(MLModelError):
    """The daemon cannot work by these settings. ``problems`` in the order of the file; the message has them all, a line each."""

    code = MLModelErrorCode.IO

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{file}: {problem}" for problem in self.problems))
