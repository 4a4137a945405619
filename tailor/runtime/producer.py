"""Which program wrote a record."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def producer() -> str:
    """``tailor`` and its version: that of the package which is installed, ``unknown`` where it runs from a source tree that is not."""
    try:
        return f"tailor {version('tailor')}"
    except PackageNotFoundError:
        return "tailor unknown"
