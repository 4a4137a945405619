"""What a check found: its verdict, and the numbers that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """One check of an update: ``told`` says in words what was compared, or why it was not run or failed; ``numbers`` by name."""

    name: str
    verdict: Literal["passed", "failed", "not run"]
    told: str
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)

    @classmethod
    def judged(cls, name: str, good: bool, told: str, **numbers: float | int | str) -> Check:
        """A check that was run."""
        return cls(name, "passed" if good else "failed", told, numbers)

    @classmethod
    def not_run(cls, name: str, why: str) -> Check:
        """A check that was not run, and why."""
        return cls(name, "not run", why)
