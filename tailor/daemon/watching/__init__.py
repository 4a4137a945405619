"""Watched folders: files that others put there become examples."""

from .watching import Watching

__all__ = ["Watching"]
