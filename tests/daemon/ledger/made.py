"""Rows and times for tests of the ledger."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from tailor.daemon.ledger import KeptModel, Ledger, NewPlan, NewRow

START = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
MODEL = KeptModel("model", "ab" * 32, "neuralNetwork", 1234, START)


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


def clock() -> datetime:
    """A time that stands still."""
    return START


def row(id: str, body: bytes | None = None, **rest: Any) -> NewRow:
    """An example whose content is its id, unless it is given."""
    content = id.encode() if body is None else body
    return NewRow(id, hashlib.sha256(content).digest(), content, **rest)


def rows(*ids: str) -> list[NewRow]:
    """One of each id."""
    return [row(id) for id in ids]


def plan(identifier: str, user: str = "user", most: int = 100, **rest: Any) -> NewPlan:
    """An update of the model's user."""
    return NewPlan(identifier, "model", user, "examples", most, None, MODEL.base, {}, START, **rest)


async def states(ledger: Ledger, user: str = "user") -> dict[str, str]:
    """Of all examples of a user, by id, in the order of arrival."""
    return {example.id: example.state for example in await ledger.examples("model", user, most=10_000)}
