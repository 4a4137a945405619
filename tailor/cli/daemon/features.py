"""What files are read for, by what a daemon says of a model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tailor import (
    MLDictionaryConstraint,
    MLFeatureDescription,
    MLFeatureError,
    MLFeatureType,
    MLMultiArrayConstraint,
    MLMultiArrayDataType,
    MLUpdateError,
)
from tailor.runtime.data import DataSource, Wanted

if TYPE_CHECKING:
    from tailor.client import ModelRecord

_LABELS = (MLFeatureType.STRING, MLFeatureType.INT64)


def wanted_for_update(model: ModelRecord) -> Wanted:
    """What an example has. Raises ``MLUpdateError`` for a model that cannot be updated."""
    if not model.is_updatable:
        raise MLUpdateError(f"{model.name}: expected an updatable model, got a {model.kind} that is not marked as updatable")
    must = _described(model, model.training_inputs)
    labels = [name for name, feature in must.items() if feature.type in _LABELS]
    return Wanted(must, {}, labels[0] if len(labels) == 1 else None)


def wanted_for_prediction(model: ModelRecord) -> Wanted:
    """The inputs; training inputs may be there too, and are left out."""
    inputs = _described(model, model.inputs)
    return Wanted(inputs, {name: told for name, told in _described(model, model.training_inputs).items() if name not in inputs}, None)


def features_at(read: DataSource, number: int, wanted: Wanted) -> dict[str, object]:
    """The features of an example; pixels that were given as numbers are an image."""
    features = dict(read.features_at(number))
    for name, told in wanted.all.items():
        if told.type is MLFeatureType.IMAGE and isinstance(features.get(name), np.ndarray):
            features[name] = _picture(features[name], f"{read.place(number)}, {name!r}")
    return features


def _picture(pixels: Any, where: str) -> Image.Image:
    """An image given as numbers from 0 to 255: ``[H, W]`` or ``[H, W, C]``, with 1, 3 or 4 channels."""
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    fits = flat.ndim == 2 or (flat.ndim == 3 and flat.shape[2] in (3, 4))
    if not fits or flat.size == 0 or not ((flat >= 0) & (flat <= 255)).all():
        raise MLFeatureError(
            f"{where}: expected pixels [H, W] or [H, W, 3] from 0 to 255, got an array {list(pixels.shape)} or other numbers"
        )
    return Image.fromarray(np.rint(flat).astype(np.uint8))


def _described(model: ModelRecord, names: Iterable[str]) -> dict[str, MLFeatureDescription]:
    return {name: _feature(name, model.features[name]) for name in names if name in model.features}


def _feature(name: str, told: Any) -> MLFeatureDescription:
    constraint: Any = None
    if told.shape is not None:
        constraint = MLMultiArrayConstraint(tuple(told.shape), MLMultiArrayDataType[told.data_type.upper()])
    elif told.keys is not None:
        constraint = MLDictionaryConstraint(MLFeatureType[told.keys.upper()])
    return MLFeatureDescription(name, MLFeatureType[told.type.upper()], told.optional, "", constraint)
