"""One example's features: from the wire to what a model takes, and to the bytes that the ledger keeps, and back.

What is kept is msgpack of the training inputs in the model's order, in one form whatever they came in: numbers of the declared type,
arrays as ``{"shape", "dtype", "data"}``, dictionaries by key, images as they were sent. Equal examples are equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf, isfinite
from typing import Any, TypeAlias

import msgspec
import numpy as np

from tailor import (
    MLDictionaryConstraint,
    MLFeatureDescription,
    MLFeatureError,
    MLFeatureType,
    MLModel,
    MLMultiArrayConstraint,
    MLUpdateError,
)
from tailor.runtime.models import TAKES_NAN, inputs_to, last_classifier
from tailor.runtime.values import accept, default_value

from .arrays import packed, quick_vector, read_array, read_bytes, told, unpacked
from .images import picture

Label: TypeAlias = str | int
Features: TypeAlias = Mapping[str, Any]
SMALL = 4096
"""Numbers of an array that are read in no time."""
LITTLE = 1 << 16
"""Bytes of all that is read in no time."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class PredictionFeatures:
    """The inputs of a model, as they come over the wire. Several threads may use one."""

    def __init__(self, model: MLModel) -> None:
        self._described = dict(model.description.input_descriptions_by_name)
        self._bulky = [name for name, told in self._described.items() if not _is_quick(told)]

    def is_little(self, inputs: Sequence[Features]) -> bool:
        """Whether ``inputs`` of some examples are read in no time, as files of small images are."""
        return not self._bulky or sum(_bulk(one.get(name)) for one in inputs for name in self._bulky) <= LITTLE

    def read(self, inputs: Features, pixels: int) -> dict[str, Any]:
        """Inputs as ``MLModel.predict`` takes them, which then says whether they fit: no text becomes a path, no image is large.

        Raises ``MLFeatureError`` naming the input that cannot be read.
        """
        return {name: self._value(name, value, pixels) for name, value in inputs.items()}

    def _value(self, name: str, value: Any, pixels: int) -> Any:
        description = self._described.get(name)
        return value if description is None or value is None else _model_value(description, value, "input", pixels)


class TrainingFeatures:
    """The training inputs of a model that can be updated, as they come over the wire and as they are kept. Several threads may use one.

    Raises ``MLUpdateError`` for a model that cannot be updated.
    """

    def __init__(self, model: MLModel) -> None:
        description = model.description
        if not description.is_updatable:
            raise MLUpdateError(f"model {model.name!r}: expected one that can be updated, to take examples, got one that cannot")
        self._who = f"model {model.name!r}"
        self._described = dict(description.training_input_descriptions_by_name)
        self._nan = inputs_to(model.spec, TAKES_NAN)
        self._label = _label_of(description.predicted_feature_name, self._described)
        # Nearest neighbours learn new labels; all others have the classes that they have.
        self._labels = frozenset() if last_classifier(model.spec) is not None else frozenset(description.class_labels)
        self._fillers = {name: default_value(told) for name, told in self._described.items() if told.optional}
        self._quick = {name: _quick_for(told) for name, told in self._described.items()}
        self.is_quick = all(map(_is_quick, self._described.values()))

    def normalised(self, features: Features, pixels: int) -> tuple[bytes, Label | None]:
        """The bytes that are kept of an example, and the label that it is to be called by when it is forgotten, where it has one.

        Every value is checked as training checks it, images by decoding them. An optional input that is absent is its declared default.
        Raises ``MLFeatureError`` naming the training input that is missing, not known, or does not fit.
        """
        if features.keys() - self._described.keys():
            other = next(name for name in features if name not in self._described)
            known = ", ".join(map(repr, self._described))
            raise MLFeatureError(f"{self._who}: expected training inputs among {known}, got {told(other)}")
        kept: dict[str, Any] = {}
        for name, quick in self._quick.items():
            value = features.get(name)
            at_once = quick(value)
            kept[name] = self._kept(name, value, pixels) if at_once is None else at_once
        label = kept.get(self._label)
        if self._labels and label is not None and label not in self._labels:
            raise MLFeatureError(f"training input {self._label!r}: expected one of the {len(self._labels)} class labels, got {told(label)}")
        try:
            return _encode(kept), label
        except UnicodeEncodeError:
            raise MLFeatureError(f"{self._who}: expected text that UTF-8 can hold, got half a surrogate pair") from None

    def restored(self, body: bytes) -> dict[str, Any]:
        """An example as ``MLUpdateTask`` takes it, of the bytes that were kept, by this or by a model that takes the same."""
        kept = _decode(body)
        return {name: self._restored(name, value) for name, value in kept.items()}

    def _kept(self, name: str, value: Any, pixels: int) -> Any:
        description = self._described[name]
        if value is None:
            value = self._fillers.get(name)
            if value is None:
                raise MLFeatureError(f"{self._who}: expected training input {name!r}, got none")
        if description.type is MLFeatureType.IMAGE:
            value = read_bytes(value, f"training input {name!r}", description.phrase)
        taken = _model_value(description, value, "training input", pixels)
        canonical = accept(description, taken, "training input", finite=name not in self._nan)
        if description.type is MLFeatureType.IMAGE:
            return value
        if isinstance(canonical, np.ndarray):
            return packed(canonical)
        return dict(sorted(canonical.items())) if isinstance(canonical, dict) else canonical

    def _restored(self, name: str, value: Any) -> Any:
        description = self._described.get(name)
        if description is not None and description.type is MLFeatureType.IMAGE and isinstance(value, bytes):
            return _model_value(description, value, "training input", _ANY)
        return unpacked(value) if description is not None and description.type is MLFeatureType.MULTI_ARRAY else value


_ANY = 2**62


def _model_value(description: MLFeatureDescription, value: Any, who: str, pixels: int) -> Any:
    """A value of the wire as the runtime takes it. What it cannot be is left for the runtime to refuse."""
    read = _READERS.get(description.type)
    return value if read is None else read(description, value, f"{who} {description.name!r}", pixels)


def _array(description: MLFeatureDescription, value: Any, where: str, pixels: int) -> Any:
    constraint = description.constraint
    # One of a small array is read on the event loop; many more numbers than it has are not looked at.
    most = SMALL if isinstance(constraint, MLMultiArrayConstraint) and _is_quick(description) else inf
    return read_array(value, where, description.phrase, most)


def _image(description: MLFeatureDescription, value: Any, where: str, pixels: int) -> Any:
    return picture(read_bytes(value, where, description.phrase), where, description.phrase, pixels)


def _dictionary(description: MLFeatureDescription, value: Any, where: str, pixels: int) -> Any:
    """In JSON integer keys are text."""
    constraint = description.constraint
    if type(value) is not dict or not isinstance(constraint, MLDictionaryConstraint) or constraint.key_type is not MLFeatureType.INT64:
        return value
    keys = {key: _integer(key) for key in value}
    if len(set(keys.values())) < len(keys):
        raise MLFeatureError(f"{where}: expected {description.phrase}, got a key twice")
    return {keys[key]: number for key, number in value.items()}


def _integer(key: Any) -> Any:
    """The integer that a text is the usual form of; anything else as it is."""
    if isinstance(key, str) and len(key) <= 20 and key.removeprefix("-").isdecimal() and key == str(int(key)):
        return int(key)
    return key


_Reader: TypeAlias = Callable[[MLFeatureDescription, Any, str, int], Any]
_READERS: dict[MLFeatureType, _Reader] = {
    MLFeatureType.MULTI_ARRAY: _array,
    MLFeatureType.IMAGE: _image,
    MLFeatureType.DICTIONARY: _dictionary,
}


def _quick_for(description: MLFeatureDescription) -> Callable[[Any], Any]:
    """What gives a value as it is kept, where it is plainly what the model asks for; ``None`` where one has to look closer."""
    if isinstance(description.constraint, MLMultiArrayConstraint):
        return quick_vector(description.constraint) or _nothing
    return {
        MLFeatureType.STRING: lambda value: value if type(value) is str else None,
        MLFeatureType.INT64: lambda value: value if type(value) is int and -(2**63) <= value < 2**63 else None,
        MLFeatureType.DOUBLE: lambda value: value if type(value) is float and isfinite(value) else None,
    }.get(description.type, _nothing)


def _nothing(value: Any) -> None:
    return None


def _is_quick(description: MLFeatureDescription) -> bool:
    """Whether a value is small by what the model says of it."""
    constraint = description.constraint
    if isinstance(constraint, MLMultiArrayConstraint):
        flexible = constraint.enumerated_shapes or constraint.size_ranges or not constraint.shape
        return not flexible and int(np.prod(constraint.shape, dtype=float)) <= SMALL
    return constraint is None


def _bulk(value: Any) -> int:
    """About how many bytes there are to be read of a value; of lists within lists nobody can tell at once."""
    if isinstance(value, (bytes, str)):
        return len(value)
    if isinstance(value, dict):
        return _bulk(value["data"]) if "data" in value else 32 * len(value)
    if isinstance(value, list):
        return LITTLE + 1 if value and isinstance(value[0], list) else 8 * len(value)
    return 0


def _label_of(predicted: str, described: Mapping[str, MLFeatureDescription]) -> str:
    """The training input that says what is to be predicted, where it is a label: that of the predicted feature's name. Else ``""``."""
    told = described.get(predicted)
    return predicted if told is not None and told.type in (MLFeatureType.STRING, MLFeatureType.INT64) else ""
