"""Async tests run on asyncio and on trio; PyTorch, for those that compare with it; more of Hypothesis, for those who have the time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

# A busy machine may pause anywhere, so that no time is too long for an example.
settings.register_profile("unhurried", settings.default, deadline=None)
settings.load_profile("unhurried")
settings.register_profile("thorough", max_examples=5000, deadline=None)  # pytest --hypothesis-profile thorough


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop a test runs on."""
    backend: str = request.param
    return backend


@pytest.fixture
def torch() -> Iterator[Any]:
    """PyTorch with one thread: its threads wait busily for one another, which is slow wherever a core is taken."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)
