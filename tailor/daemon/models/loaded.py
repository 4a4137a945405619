"""A model in memory, ready to predict with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from tailor import MLModel

from ..examples import PredictionFeatures
from .memory import Memory, Weighed

Key: TypeAlias = tuple[str, str, str]
"""The name of the model; the user, and ``""``; or of a registered model ``""``, and the SHA-256 of its file."""

PLAN = 3
"""A model in memory takes about three times its file: what was read, its numbers as they are computed with, and buffers."""
LEAST = 1 << 18


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, the inputs that it takes over the wire, and the version of the user's model that it is; ``None``: as it was registered."""

    model: MLModel
    features: PredictionFeatures
    version: str | None = None


Models: TypeAlias = Memory[Key, Loaded | None]
"""Of a user without a version there is ``None``, which is light."""


def loaded(model: MLModel, name: str, version: str | None = None) -> Weighed[Loaded | None]:
    """``model`` for ``Models``; errors call it ``name``."""
    model.name = name
    return Weighed(Loaded(model, PredictionFeatures(model), version), LEAST + PLAN * model.size)
