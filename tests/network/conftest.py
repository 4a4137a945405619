"""Fixtures of the network tests."""

from __future__ import annotations

import pytest

from tailor.runtime.network import team


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks of these tests are so small that a mini-batch would be one piece, and no thread would have a mate."""
    monkeypatch.setattr(team, "PIECE_WORK", 40_000)
