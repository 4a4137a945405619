"""Models that stand for another in a file of its own, and extractors with a head of nearest neighbours."""

from __future__ import annotations

from math import prod
from typing import Any

from ...errors import MLFormatError
from ..schema.model_pb2 import FeatureDescription, Model
from .neighbors import KNearestNeighborsClassifierBuilder
from .pipeline import make_pipeline

LINKED_VERSION = 4
"""The first specification version with linked models."""


def make_linked_model(model: Any, file_name: str, search_path: str = "") -> Model:
    """A model with the interface of ``model`` (a ``Model`` or an ``MLModel``) that is looked up when it is run.

    ``file_name``: the file of ``model``, such as ``Extractor.mlmodel``; ``search_path``: the folders to look in, relative to the
    linking model's own, joined by ``:``; empty for that folder itself. Many small models can share a large one so.

    Raises ``MLFormatError`` where ``file_name`` is empty or names a folder too, or ``model`` is updatable: a linked one cannot be.
    """
    linked = getattr(model, "spec", model)
    if not file_name or "/" in file_name or "\\" in file_name:
        raise MLFormatError(f"linked model: expected the name of a file, without folders, got {file_name!r}")
    if linked.isUpdatable:
        raise MLFormatError(f"linked model: expected a model that is not updatable, got an updatable {linked.WhichOneof('Type')}")
    spec = Model(specificationVersion=max(LINKED_VERSION, linked.specificationVersion))
    spec.description.CopyFrom(linked.description)
    file = spec.linkedModel.linkedModelFile
    file.linkedModelFileName.defaultValue = file_name
    file.linkedModelSearchPath.defaultValue = search_path
    return spec


def attach_neighbors(
    extractor: Any, output_name: str, default_class_label: str | int, *, feature: str | None = None,
    number_of_dimensions: int | None = None, names: tuple[str, str] = ("extractor", "neighbors"), **options: Any,
) -> Model:  # fmt: skip
    """An updatable classifier: ``extractor`` (a ``Model`` or an ``MLModel``), then nearest neighbours of what it makes.

    ``feature``: the extractor's output that samples are made of, by default its only multi-array. ``number_of_dimensions``: its
    size, where its description does not tell it. ``options`` are those of ``KNearestNeighborsClassifierBuilder``.

    Raises ``MLFormatError`` where there is no such output, or its size is unknown or another.
    """
    model = getattr(extractor, "spec", extractor)
    output = _array(model, feature)
    size = prod(output.type.multiArrayType.shape) if output.type.multiArrayType.shape else None
    dimensions = size if number_of_dimensions is None else number_of_dimensions
    if dimensions is None or size not in (None, dimensions):
        got = "no shape in its description" if dimensions is None else f"{number_of_dimensions} for one of {size}"
        raise MLFormatError(f"extractor: output {output.name!r}: expected its number of dimensions, got {got}")
    head = KNearestNeighborsClassifierBuilder(output.name, output_name, dimensions, default_class_label, **options)
    return make_pipeline("classifier", [model, head.spec], names)


def _array(model: Model, feature: str | None) -> FeatureDescription:
    arrays = [output for output in model.description.output if output.type.WhichOneof("Type") == "multiArrayType"]
    chosen = [output for output in arrays if feature in (None, output.name)]
    if len(chosen) != 1:
        known = ", ".join(repr(output.name) for output in arrays) or "none"
        wanted = "one multi-array output" if feature is None else f"a multi-array output {feature!r}"
        raise MLFormatError(f"extractor: expected {wanted}, got {known}")
    return chosen[0]
