"""Repairs: one family a file; each proves itself by equal outputs."""

from __future__ import annotations

from .losses import set_loss
from .network import Asked
from .repaired import repaired

__all__ = ["Asked", "repaired", "set_loss"]
