"""The commands for a daemon: running it, and working with it."""

from .app import daemon

__all__ = ["daemon"]
