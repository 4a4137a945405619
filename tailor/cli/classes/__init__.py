"""Typed Python classes for one model: what ``tailor codegen`` writes."""

from __future__ import annotations

from .module import class_names, module_source

__all__ = ["class_names", "module_source"]
