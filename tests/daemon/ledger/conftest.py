"""A ledger with one model, open for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tailor.daemon.ledger import Ledger, open_ledger

from .made import MODEL, clock


@pytest.fixture
async def ledger(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Ledger]:
    async with open_ledger(tmp_path / "ledger.sqlite", now=clock) as opened:
        await opened.put_model(MODEL)
        yield opened
