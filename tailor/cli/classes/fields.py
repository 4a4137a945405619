"""The features of a model as typed attributes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tailor import (
    MLDictionaryConstraint,
    MLFeatureDescription,
    MLFeatureType,
    MLMultiArrayConstraint,
    MLMultiArrayDataType,
    MLSequenceConstraint,
)

from .names import attribute_names

_PLAIN = {MLFeatureType.INT64: "int", MLFeatureType.DOUBLE: "float", MLFeatureType.STRING: "str"}

_ELEMENTS = {
    MLMultiArrayDataType.DOUBLE: "np.float64",
    MLMultiArrayDataType.FLOAT32: "np.float32",
    MLMultiArrayDataType.FLOAT16: "np.float32",  # answers are never narrower
    MLMultiArrayDataType.INT32: "np.int32",
    MLMultiArrayDataType.INT8: "np.int8",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One feature: ``name`` in the model, ``attribute`` in Python, its type where it is given (``takes``) and answered (``gives``)."""

    name: str
    attribute: str
    takes: str
    gives: str
    optional: bool
    text: str


def fields_of(features: Iterable[MLFeatureDescription], taken: Collection[str]) -> list[Field]:
    """The fields of a class; those that may be left out come last. No attribute is among ``taken``."""
    known = list(features)
    attributes = attribute_names((feature.name for feature in known), taken)
    fields = [_field(feature, attributes[feature.name]) for feature in known]
    return sorted(fields, key=lambda field: field.optional)


def _field(feature: MLFeatureDescription, attribute: str) -> Field:
    takes, gives = _types(feature)
    named = "" if attribute == feature.name else f" ({feature.name!r} in the model)"
    left_out = "; may be left out" if feature.optional else ""
    said = f" {feature.short_description}" if feature.short_description else ""
    return Field(
        feature.name, attribute, takes, gives, feature.optional, f"``{attribute}``{named}: {feature.phrase}{left_out}.{said}"
    )


def _types(feature: MLFeatureDescription) -> tuple[str, str]:
    """What may be given for a feature, and what comes as its answer."""
    match feature.constraint:
        case MLMultiArrayConstraint(data_type=element):
            return "ArrayLike", f"NDArray[{_ELEMENTS[element]}]"
        case MLDictionaryConstraint(key_type=key):
            return f"Mapping[{_PLAIN[key]}, float]", f"dict[{_PLAIN[key]}, float]"
        case MLSequenceConstraint(value_type=item):
            return f"Sequence[{_PLAIN[item]}]", f"list[{_PLAIN[item]}]"
    if feature.type is MLFeatureType.IMAGE:
        return "Image.Image | NDArray[Any] | str | os.PathLike[str]", "Image.Image"
    return _PLAIN[feature.type], _PLAIN[feature.type]
