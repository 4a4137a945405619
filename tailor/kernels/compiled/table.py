"""The rows of all kinds of layers that have steps, by the name of the op."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .bind import Bind
from .binds import convolution, elements, moving, norms, recurrent

BINDS: Mapping[str, Bind] = MappingProxyType(
    {bind.name: bind for family in (convolution, elements, moving, norms, recurrent) for bind in family.BINDS}
)
