"""One step of a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .records import Kind


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what its record says, whether the next may only begin when it is done, and the layer it is for."""

    kind: Kind
    fields: Mapping[str, Any]
    wait: bool
    label: str
