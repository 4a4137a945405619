"""Models from other frameworks, by coremltools' converters; what could learn there can learn here."""

from __future__ import annotations

from .convert import convert

__all__ = ["convert"]
