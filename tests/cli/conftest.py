"""What the tests of the command line share."""

from __future__ import annotations

import pytest

from tests.cli.models import Terminal


@pytest.fixture
def tailor(capsys: pytest.CaptureFixture[str]) -> Terminal:
    """The command line."""
    return Terminal(capsys)
