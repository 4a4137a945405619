"""coremltools' converter, and what both frameworks ask of it. It is imported when it is needed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from ..errors import MLFormatError, MLUnsupportedError
from ..format import Model, load_model

# They would mix what learns with what does not: the runtime merges such layers itself, each time that it plans a run.
_MERGING = {"common::fuse_conv_batchnorm", "common::fuse_conv_scale"}


def needed(name: str) -> Any:
    """The module ``name``. Raises ``ModuleNotFoundError``, saying how to install it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        how = "pip install 'tailor[convert]'" if name == "coremltools" else f"pip install {name}"
        raise ModuleNotFoundError(f"tailor.convert: {name} is not installed; {how}", name=name) from error


Inputs: TypeAlias = Mapping[str, Any] | Sequence[Any] | None
"""Shapes or example arrays by name, or coremltools' types."""


def input_types(inputs: Inputs) -> list[Any]:
    """coremltools' descriptions of inputs: those given, or multi-arrays of the shapes, or like the arrays, given by name."""
    if not isinstance(inputs, Mapping):
        return list(inputs or ())
    tensor = needed("coremltools").TensorType
    shapes: dict[str, Any] = {name: getattr(given, "shape", given) for name, given in inputs.items()}
    whole = {name: "int" in str(getattr(given, "dtype", "")) for name, given in inputs.items()}
    return [
        tensor(name=name, shape=tuple(int(size) for size in shape), dtype=np.int32 if whole[name] else np.float32)
        for name, shape in shapes.items()
    ]


@contextmanager
def converting() -> Iterator[None]:
    """What the framework or coremltools raises inside leaves as an ``MLUnsupportedError`` with what it says."""
    try:
        yield
    except Exception as error:
        raise MLUnsupportedError(f"convert: expected a model that coremltools can convert to a neural network, got: {error}") from error


def run(source: Any, framework: str, keeping: bool, options: Mapping[str, Any], names: Sequence[str] = ()) -> Model:
    """The neural network that coremltools makes of ``source``; ``keeping``: the weights of its layers are kept apart.

    ``names`` are new ones for the first outputs.

    Raises ``MLUnsupportedError``, with what coremltools says, where it can make none.
    """
    coremltools = needed("coremltools")
    passes = {}
    if keeping and "pass_pipeline" not in options:
        passes["pass_pipeline"] = coremltools.PassPipeline()
        passes["pass_pipeline"].remove_passes(_MERGING)
    with converting():
        made = coremltools.convert(source, source=framework, convert_to="neuralnetwork", **passes, **options)
    spec = made.get_spec()
    for old, new in zip([output.name for output in spec.description.output], names, strict=False):
        coremltools.utils.rename_feature(spec, old, new)
    return load_model(spec.SerializeToString())


def with_shapes(model: Model, shapes: Sequence[Sequence[int]]) -> None:
    """Declares the shapes of the multi-arrays among the outputs, as many as there are, in order."""
    if len(shapes) != len(model.description.output):
        if model.WhichOneof("Type") == "neuralNetworkClassifier":
            return
        raise MLFormatError(f"convert: expected {len(shapes)} outputs, as the model given has, got {len(model.description.output)}")
    for feature, shape in zip(model.description.output, shapes, strict=True):
        if feature.type.WhichOneof("Type") == "multiArrayType" and not feature.type.multiArrayType.shape:
            feature.type.multiArrayType.shape.extend(shape)
