"""The tests' own model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tailor import register_custom_model
from tests.tasks.batches import Own


@pytest.fixture
def own() -> Iterator[Own]:
    """What ``own_model`` predicts with."""
    made = Own()
    register_custom_model("Own", lambda parameters, description: made)
    yield made
    register_custom_model("Own", None)
