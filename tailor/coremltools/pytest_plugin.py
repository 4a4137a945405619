"""For a test run: ``pytest -p tailor.coremltools.pytest_plugin`` lets coremltools predict in it.

On macOS the tests run against Core ML itself. In a project's settings: ``addopts = ["-p", "tailor.coremltools.pytest_plugin"]``.
"""

from __future__ import annotations

import pytest

from .switch import disable, enable, is_enabled

_ours = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Enables the bridge before tests are collected; a usage error where coremltools is not installed."""
    if is_enabled():
        return
    try:
        enable()
    except ModuleNotFoundError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[_ours] = True


def pytest_unconfigure(config: pytest.Config) -> None:
    """Makes coremltools what it was, where this plugin changed it."""
    if config.stash.get(_ours, False):
        disable()


def pytest_report_header() -> str:
    """A line that says who predicts."""
    return f"coremltools: predictions by {'tailor' if is_enabled() else 'Core ML'}"
