"""What a model declares about one feature: its name, its type, and which values of that type it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .types import MLColorSpace, MLFeatureType, MLMultiArrayDataType

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SizeRange:
    """Sizes from ``lower`` to ``upper``, both included; ``upper`` is ``None`` where there is no bound."""

    lower: int
    upper: int | None = None

    def __contains__(self, size: object) -> bool:
        return isinstance(size, int) and self.lower <= size and (self.upper is None or size <= self.upper)

    def __str__(self) -> str:
        return f"{self.lower}.." if self.upper is None else f"{self.lower}..{self.upper}"


@dataclass(frozen=True, slots=True)
class MLImageConstraint:
    """The images that a feature takes.

    ``pixels_wide`` and ``pixels_high`` are the size, or the default size where others are allowed too: those of
    ``enumerated_sizes`` (width, height), or all within ``width_range`` and ``height_range``. Where the size is 0 x 0 and
    nothing else is declared (an output), every size will do.
    """

    pixels_wide: int
    pixels_high: int
    color_space: MLColorSpace
    enumerated_sizes: tuple[tuple[int, int], ...] = ()
    width_range: SizeRange | None = None
    height_range: SizeRange | None = None

    def allows(self, width: int, height: int) -> bool:
        """Whether the model takes an image of this size as it is."""
        if self.enumerated_sizes:
            return (width, height) in self.enumerated_sizes
        if self.width_range is not None and self.height_range is not None:
            return width in self.width_range and height in self.height_range
        return (width, height) == (self.pixels_wide, self.pixels_high) or not self.pixels_wide or not self.pixels_high

    @property
    def phrase(self) -> str:
        """What is expected, for error messages: ``an image 28x28 grayscale``."""
        if self.enumerated_sizes:
            sizes = " or ".join(f"{width}x{height}" for width, height in self.enumerated_sizes)
        elif self.width_range is not None and self.height_range is not None:
            sizes = f"{self.width_range} x {self.height_range}"
        else:
            sizes = f"{self.pixels_wide}x{self.pixels_high}" if self.pixels_wide else "of any size,"
        return f"an image {sizes} {self.color_space.phrase}"


@dataclass(frozen=True, slots=True)
class MLMultiArrayConstraint:
    """The multi-arrays that a feature takes.

    ``shape`` is the shape, or the default shape where others are allowed too: those of ``enumerated_shapes``, or all
    within ``size_ranges`` (one an axis). An empty shape with nothing else declared (an output) allows every shape.
    ``default_value`` fills an array of the default shape where an optional feature is absent. ``sequences``: an input of an
    older network, to which ``[C]`` and ``[C, H, W]`` may also come as ``[Seq, Batch, C, H, W]``.
    """

    shape: Shape
    data_type: MLMultiArrayDataType
    enumerated_shapes: tuple[Shape, ...] = ()
    size_ranges: tuple[SizeRange, ...] = ()
    default_value: int | float | None = None
    sequences: bool = False

    def allows(self, shape: Shape) -> bool:
        """Whether the model takes an array of exactly this shape."""
        if self.enumerated_shapes:
            return shape in self.enumerated_shapes
        if self.size_ranges:
            return len(shape) == len(self.size_ranges) and all(size in known for size, known in zip(shape, self.size_ranges, strict=True))
        return shape == self.shape or not self.shape

    @property
    def ranks(self) -> tuple[int, ...]:
        """The numbers of axes that an allowed shape can have, the default's first; empty where every shape is allowed."""
        shapes = (self.shape, *self.enumerated_shapes, self.size_ranges)
        return tuple(dict.fromkeys(len(shape) for shape in shapes if shape))

    @property
    def phrase(self) -> str:
        """What is expected, for error messages: ``a float32 multi-array of shape [1, 28, 28]``."""
        kind = f"{'an' if self.data_type.dtype.kind == 'i' else 'a'} {self.data_type.dtype} multi-array"
        if self.enumerated_shapes:
            return f"{kind} of shape {' or '.join(str(list(shape)) for shape in self.enumerated_shapes)}"
        if self.size_ranges:
            return f"{kind} of shape [{', '.join(map(str, self.size_ranges))}]"
        return f"{kind} of shape {list(self.shape)}" if self.shape else kind


@dataclass(frozen=True, slots=True)
class MLDictionaryConstraint:
    """The dictionaries that a feature takes: values are doubles, keys ``INT64`` or ``STRING``."""

    key_type: MLFeatureType

    @property
    def phrase(self) -> str:
        """What is expected, for error messages."""
        return f"a dictionary from {_PLURAL[self.key_type]} to numbers"


@dataclass(frozen=True, slots=True)
class MLSequenceConstraint:
    """The sequences that a feature takes: of ``INT64`` or ``STRING``, as long as ``count_range`` says."""

    value_type: MLFeatureType
    count_range: SizeRange = SizeRange(0)

    @property
    def phrase(self) -> str:
        """What is expected, for error messages."""
        count = "" if self.count_range == SizeRange(0) else f" of length {self.count_range}"
        return f"a sequence{count} of {_PLURAL[self.value_type]}"


MLConstraint: TypeAlias = MLImageConstraint | MLMultiArrayConstraint | MLDictionaryConstraint | MLSequenceConstraint

_PLURAL = {MLFeatureType.INT64: "integers", MLFeatureType.STRING: "strings"}
_PLAIN = {
    MLFeatureType.INVALID: "a value of an unknown type",
    MLFeatureType.INT64: "an int64",
    MLFeatureType.DOUBLE: "a double",
    MLFeatureType.STRING: "a string",
    MLFeatureType.STATE: "a state",
}


@dataclass(frozen=True, slots=True)
class MLFeatureDescription:
    """One input, output, training input or state of a model.

    ``constraint`` belongs to the types image, multi-array (and state, which holds one), dictionary and sequence.
    """

    name: str
    type: MLFeatureType
    optional: bool = False
    short_description: str = ""
    constraint: MLConstraint | None = None

    @property
    def phrase(self) -> str:
        """What is expected, for error messages: ``an image 28x28 grayscale``, ``a double``."""
        if self.type is MLFeatureType.STATE or self.constraint is None:
            return _PLAIN.get(self.type, f"a value of type {self.type.name}")
        return self.constraint.phrase
