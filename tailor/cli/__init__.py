"""The command line: one file a command."""

from .app import app, main

__all__ = ["app", "main"]
