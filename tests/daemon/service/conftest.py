"""What the tests of the service share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.cli.models import Terminal


@pytest.fixture
def tailor(capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """The command line; the daemon's own mask for files is taken back at the end."""
    mask = os.umask(0o022)
    yield Terminal(capsys)
    os.umask(mask)
