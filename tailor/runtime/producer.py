"""Which program wrote a record."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def producer() -> str:
    """``tailor`` and its version."""
    try:
        return f"tailor {version('tailor')}"
    except PackageNotFoundError:
        return "tailor uninstalled"
