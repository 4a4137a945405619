"""How much a reader takes before it refuses, and a writer before it would make what no reader takes."""

from __future__ import annotations

from dataclasses import dataclass, fields

DEEPEST = 64  # readers and writers recurse once a level; this keeps them far from the interpreter's own bound


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one payload, checked before memory is reserved. ``FORMAT.md`` section 2 says what each one counts.

    Raises ``ValueError`` where a bound is not a positive integer, or ``depth`` is above 64.
    """

    total_bytes: int = 2**32
    depth: int = 16
    items: int = 1_000_000
    elements: int = 2**30
    string_bytes: int = 2**20

    def __post_init__(self) -> None:
        for field in fields(self):
            bound = getattr(self, field.name)
            if not isinstance(bound, int) or isinstance(bound, bool) or bound < 1:
                raise ValueError(f"limit {field.name}: expected a positive integer, got {bound!r}")
        if self.depth > DEEPEST:
            raise ValueError(f"limit depth: expected at most {DEEPEST}, got {self.depth}")


LIMITS = Limits()
