"""How a network's features become tensors, and its values features again.

Source: the comments on NeuralNetworkMultiArrayShapeMapping, NeuralNetworkImageShapeMapping and NeuralNetworkPreprocessing
in the Core ML format. Columns are canonical (see ``family``); tensors are float32 with a leading axis of examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailor.kernels import Array, ChannelOrder, Shape, channel_biases, chw_to_image, image_to_chw, scale_and_bias, subtract_mean

from ..errors import MLFeatureError, MLFormatError, MLModelError
from ..format import read_floats
from .family import Column

RANK5_ARRAYS = 0
RANK5_IMAGES = 0

_ORDERS: dict[int, ChannelOrder] = {10: "gray", 20: "rgb", 30: "bgr", 40: "gray"}  # ImageFeatureType.ColorSpace
_FLOAT16_GRAY = 40
_DTYPES = {65568: "float32", 65600: "float64", 65552: "float16", 131104: "int32", 131080: "int8"}  # ArrayFeatureType.ArrayDataType


@dataclass(frozen=True, slots=True)
class ArrayInput:
    """A multi-array on its way in. ``rank5``: as [Seq, Batch, C, H, W]; otherwise its shape is taken as it is."""

    name: str
    rank5: bool
    default: Array | None = None

    def read(self, column: Column | None, total: int) -> Array | list[Array]:
        """Float32 tensors: stacked where the column is, else a list.

        Raises ``MLFeatureError`` for a missing column and for a rank that has no place.
        """
        if column is None:
            if self.default is None:
                raise MLFeatureError(f"input {self.name!r}: expected an array, got nothing")
            column = np.broadcast_to(self.default, (total, *self.default.shape))
        if isinstance(column, np.ndarray):
            tensors = column.astype(np.float32, copy=False)
            return tensors.reshape(total, *self.shape(column.shape[1:]))
        return [np.asarray(value, dtype=np.float32).reshape(self.shape(np.shape(value))) for value in column]

    def shape(self, given: Shape) -> Shape:
        """The tensor's shape, of one example, for an array of shape ``given``."""
        if not self.rank5 or len(given) == 5:
            return given
        if len(given) == 1:
            return (1, 1, *given, 1, 1)
        if len(given) == 3:
            return (1, 1, *given)
        raise MLFeatureError(f"input {self.name!r}: expected an array of shape [C], [C, H, W] or [Seq, Batch, C, H, W], got {list(given)}")


@dataclass(frozen=True, slots=True)
class ImageInput:
    """An image on its way in: channels in the model's order, then scaled and shifted, then [(1,) 1, C, H, W]."""

    name: str
    rank5: bool
    order: ChannelOrder
    preprocessing: tuple[Any, ...] = ()

    def read(self, column: Column | None, total: int) -> Array | list[Array]:
        """Float32 tensors: stacked where the column is, else a list. Raises ``MLFeatureError`` for a missing column."""
        if column is None:
            raise MLFeatureError(f"input {self.name!r}: expected an image, got nothing")
        if isinstance(column, np.ndarray):
            return self._tensors(column)
        return [self._tensors(np.asarray(image)[None])[0] for image in column]

    def _tensors(self, images: Array) -> Array:
        try:
            tensors = image_to_chw(images, self.order)
            with np.errstate(over="ignore", invalid="ignore"):  # infinities are answers, no warnings
                tensors = self._prepared(tensors)
        except ValueError as error:
            raise MLFeatureError(f"input {self.name!r}: {error}") from error
        return tensors[:, None, None] if self.rank5 else tensors[:, None]

    def _prepared(self, tensors: Array) -> Array:
        """``tensors`` scaled and shifted as the model asks."""
        for step in self.preprocessing:
            if step.WhichOneof("preprocessor") == "scaler":
                scaler = step.scaler
                biases = channel_biases(
                    self.order, red=scaler.redBias, green=scaler.greenBias, blue=scaler.blueBias, gray=scaler.grayBias
                )
                tensors = scale_and_bias(tensors, scaler.channelScale, biases)
            elif step.WhichOneof("preprocessor") == "meanImage":
                tensors = subtract_mean(tensors, read_floats(step.meanImage, "meanImage"))
        return tensors


def make_input(feature: Any, network: Any, only_image: bool, who: str) -> ArrayInput | ImageInput:
    """How ``feature`` (a FeatureDescription) enters ``network``; ``only_image``: it is the model's one image input.

    Raises ``MLFormatError`` for features that are neither arrays nor images.
    """
    kind = feature.type.WhichOneof("Type")
    if kind == "multiArrayType":
        return ArrayInput(feature.name, network.arrayInputShapeMapping == RANK5_ARRAYS, _default(feature))
    if kind == "imageType" and feature.type.imageType.colorSpace in _ORDERS:
        names = (feature.name, "") if only_image else (feature.name,)
        steps = tuple(step for step in network.preprocessing if step.featureName in names)
        return ImageInput(feature.name, network.imageInputShapeMapping == RANK5_IMAGES, _ORDERS[feature.type.imageType.colorSpace], steps)
    raise MLFormatError(
        f"{who}: input {feature.name!r} of a network: expected a multi-array or an image with a colour space, got {kind or 'no type'}"
    )


def _default(feature: Any) -> Array | None:
    """What an optional array is when it is not given: its default value, zero where there is none."""
    if not feature.type.isOptional:
        return None
    array = feature.type.multiArrayType
    kind = array.WhichOneof("defaultOptionalValue")
    return np.full(tuple(array.shape), 0 if kind is None else getattr(array, kind), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Output:
    """A value on its way out, as ``feature`` (a FeatureDescription) declares it."""

    name: str
    kind: str
    shape: Shape
    dtype: np.dtype[Any]
    order: ChannelOrder
    rank5: bool

    def write(self, tensors: Array | Sequence[Array]) -> Column:
        """The feature's column from tensors, stacked or a list, each with the examples in front."""
        if isinstance(tensors, np.ndarray):
            return self._column(tensors)
        return [self._column(tensor[None])[0] for tensor in tensors]

    def _column(self, tensors: Array) -> Column:
        total = tensors.shape[0]
        if self.kind == "imageType":
            return self._images(tensors)
        if self.kind in ("doubleType", "int64Type"):
            if tensors.size != total:
                raise MLModelError(f"output {self.name!r}: expected one number, got a value of shape {list(tensors.shape[1:])}")
            numbers = tensors.reshape(total)
            if self.kind == "int64Type" and not np.isfinite(numbers).all():
                raise MLModelError(f"output {self.name!r}: expected a finite number, which can be an integer, got {numbers.tolist()}")
            return [float(x) for x in numbers] if self.kind == "doubleType" else [int(x) for x in np.rint(numbers)]
        shape = self._shape(tensors.shape[1:])
        with np.errstate(invalid="ignore", over="ignore"):  # whatever a NaN is as an integer, it is no warning
            return tensors.astype(self.dtype, copy=False).reshape(total, *shape)

    def _shape(self, made: Shape) -> Shape:
        if self.shape and int(np.prod(self.shape)) == int(np.prod(made)):
            return self.shape
        if not self.rank5 or len(made) != 5:
            return made
        sequence, batch, *rest = made
        if (sequence, batch) != (1, 1):
            return made
        return (rest[0],) if rest[1:] == [1, 1] else tuple(rest)

    def _images(self, tensors: Array) -> Array:
        if tensors.ndim < 4 or any(extent != 1 for extent in tensors.shape[1:-3]):
            raise MLModelError(f"output {self.name!r}: expected a value [C, H, W] for an image, got {list(tensors.shape[1:])}")
        planes = tensors.reshape(tensors.shape[0], *tensors.shape[-3:])
        try:
            return planes[:, 0].astype(np.float16) if self.dtype == np.float16 else chw_to_image(planes, self.order)
        except ValueError as error:
            raise MLModelError(f"output {self.name!r}: {error}") from error


def make_output(feature: Any, rank5: bool, who: str) -> Output:
    """How ``feature`` (a FeatureDescription) leaves a network. Raises ``MLFormatError`` for types that no value can have."""
    kind = feature.type.WhichOneof("Type")
    if kind == "multiArrayType":
        array = feature.type.multiArrayType
        return Output(feature.name, kind, tuple(array.shape), np.dtype(_DTYPES.get(array.dataType, "float32")), "gray", rank5)
    if kind == "imageType" and feature.type.imageType.colorSpace in _ORDERS:
        space = feature.type.imageType.colorSpace
        return Output(feature.name, kind, (), np.dtype("float16" if space == _FLOAT16_GRAY else "uint8"), _ORDERS[space], rank5)
    if kind in ("doubleType", "int64Type"):
        return Output(feature.name, kind, (), np.dtype("float64"), "gray", rank5)
    raise MLFormatError(
        f"{who}: output {feature.name!r} of a network: expected a multi-array, an image or a number, got {kind or 'no type'}"
    )
