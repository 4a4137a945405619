"""How builders are told of features: by a description, or, as coremltools has it, by a name and a kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from ...errors import MLFormatError
from ..features import array_feature, double_feature, int64_feature, string_feature
from ..schema.model_pb2 import FeatureDescription

Kind: TypeAlias = Sequence[int] | type[float] | type[int] | type[str] | str | None
"""The shape of a multi-array of doubles (``None``: not declared), or ``float``, ``int``, ``str``, in coremltools' words too:
``"Double"``, ``"Int64"``, ``"String"``."""

Feature: TypeAlias = FeatureDescription | tuple[str, Kind]

_PLAIN = {float: double_feature, int: int64_feature, str: string_feature}
_NAMED = {"Double": double_feature, "Int64": int64_feature, "String": string_feature}


def described(feature: Feature) -> FeatureDescription:
    """The description of a feature. Raises ``MLFormatError`` where its kind is none of those that ``Kind`` names."""
    if isinstance(feature, FeatureDescription):
        return feature
    name, kind = feature
    if isinstance(kind, type) and kind in _PLAIN:
        return _PLAIN[kind](name)
    if isinstance(kind, str) and kind in _NAMED:
        return _NAMED[kind](name)
    if kind is None or not isinstance(kind, (str, type)):
        return array_feature(name, kind or (), "double")
    raise MLFormatError(f"feature {name!r}: expected a description, a shape, or one of float, int, str, got {kind!r}")


def all_described(features: Iterable[Feature]) -> list[FeatureDescription]:
    """The descriptions of ``features``."""
    return [described(feature) for feature in features]
