"""A model that takes a feature of every type, to look at and not to train."""

from __future__ import annotations

from tailor import MLModel
from tailor.building import (
    KNearestNeighborsClassifierBuilder,
    array_feature,
    dictionary_feature,
    double_feature,
    image_feature,
    int64_feature,
    sequence_feature,
    string_feature,
)

TYPES = {"f64": "double", "f32": "float32", "f16": "float16", "i32": "int32"}
"""Arrays of shape [2, 3], by name."""


def everything() -> MLModel:
    """Nearest neighbours of ``x`` by ``label``, whose training inputs are many more."""
    spec = KNearestNeighborsClassifierBuilder("x", "label", 3, "nobody", number_of_neighbors=1).spec
    more = [
        *(array_feature(name, (2, 3), dtype) for name, dtype in TYPES.items()),
        int64_feature("count"),
        double_feature("amount"),
        string_feature("words"),
        image_feature("image", 4, 3, "RGB"),
        dictionary_feature("by_word", str),
        dictionary_feature("by_number", int),
        sequence_feature("numbers", int),
        sequence_feature("texts", str),
    ]
    spec.description.trainingInput.extend(more)
    return MLModel.from_spec(spec, "everything")
