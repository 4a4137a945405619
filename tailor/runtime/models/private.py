"""Parts that are private to Apple: what their messages hold, given to the class that the caller provides for them.

Source: ``TextClassifier.proto``, ``WordTagger.proto``, ``Gazetteer.proto``, ``WordEmbedding.proto``,
``VisionFeaturePrint.proto`` and ``AudioFeaturePrint.proto`` of the format. They say what goes in and out; what is computed,
and what ``modelParameterData`` means, they do not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ..custom_models import ModelFactory, PrivatePart, model_provider
from ..errors import MLFormatError, MLUnsupportedError
from ..values import MLFeatureType
from .custom import OwnModel, shown
from .family import Column, Columns
from .transform import ARRAY, SEQUENCE, STRING, one_input, outputs_of


class PrivatePredictor:
    """Predicts with the class provided for a private part; it is looked up when the model first predicts.

    Raises ``MLFormatError`` where the message lacks what it must have, or inputs and outputs are not those of its type.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        part = cast(PrivatePart, spec.WhichOneof("Type"))
        kind = PARTS[part]
        one_input(spec, who, (kind.takes,))
        own = kind.read(getattr(spec, part), who)
        _check_outputs(spec, own, kind.gives, who)
        article = "an" if part[0] in "aeiou" else "a"

        def find() -> ModelFactory:
            found = model_provider(part)
            if found is None:
                raise MLUnsupportedError(
                    f"{who} is {article} {part}: what it computes is private to Apple; expected a class of yours that does it instead, "
                    f"given with register_model_provider({part!r}, ...), got none; it is given {shown(own)}"
                )
            return found

        self._model = OwnModel(spec, own, f"{who}: provider of {part!r} with {shown(own)}", find)

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """What the class answers. Raises ``MLUnsupportedError`` where none is provided, and as ``OwnModel.predict`` does."""
        return self._model.predict(columns, count)


@dataclass(frozen=True, slots=True)
class Texts:
    """A type whose message has a revision, a language and encoded parameters, and ``labels``, if it has labels or tags."""

    revision: int
    gives: Collection[MLFeatureType]
    labels: str = ""
    names: Collection[str] = ()
    takes: MLFeatureType = STRING

    def read(self, message: Any, who: str) -> dict[str, Any]:
        """What the message holds, by the format's names."""
        if message.revision < self.revision:
            raise MLFormatError(f"{who}: revision: expected at least {self.revision}, got {message.revision}")
        if not message.modelParameterData:
            raise MLFormatError(f"{who}: modelParameterData: expected bytes, got none")
        own = {field: getattr(message, field) for field in ("revision", "language", "modelParameterData", *self.names)}
        if self.labels:
            own[self.labels] = tuple(getattr(message, self.labels).vector)
            if not own[self.labels]:
                raise MLFormatError(f"{who}: {self.labels}: expected one or more, got none")
        return own


@dataclass(frozen=True, slots=True)
class Prints:
    """A feature print: a type of it, and a version of that."""

    oneof: str
    takes: MLFeatureType
    gives: Collection[MLFeatureType] = (ARRAY,)

    def read(self, message: Any, who: str) -> dict[str, Any]:
        """The type and version, and the names of the outputs, where the type has several."""
        kind = message.WhichOneof(self.oneof)
        if kind is None:
            raise MLFormatError(f"{who}: {self.oneof}: expected a type of feature print, got none")
        chosen = getattr(message, kind)
        if chosen.version < 1:
            raise MLFormatError(f"{who}: {kind}: expected a version of at least 1, got {chosen.version}")
        own: dict[str, Any] = {"type": kind, "version": int(chosen.version)}
        if kind == "objects":
            own["output"] = tuple(chosen.output)
        return own


_TAGS = ("tokensOutputFeatureName", "tokenTagsOutputFeatureName", "tokenLocationsOutputFeatureName", "tokenLengthsOutputFeatureName")

PARTS: Mapping[PrivatePart, Texts | Prints] = {
    "textClassifier": Texts(1, (STRING, MLFeatureType.DICTIONARY), "stringClassLabels"),
    "wordTagger": Texts(1, (SEQUENCE,), "stringTags", _TAGS),
    "gazetteer": Texts(2, (STRING, MLFeatureType.DICTIONARY), "stringClassLabels"),
    "wordEmbedding": Texts(2, (ARRAY,)),
    "visionFeaturePrint": Prints("VisionFeaturePrintType", MLFeatureType.IMAGE),
    "audioFeaturePrint": Prints("AudioFeaturePrintType", ARRAY),
}
"""The types that are private to Apple."""


def _check_outputs(spec: Any, own: Mapping[str, Any], types: Collection[MLFeatureType], who: str) -> None:
    """Raises ``MLFormatError`` unless there are outputs, all of ``types``, and called as the message says, where it names them."""
    outputs = outputs_of(spec, who)
    if not outputs:
        raise MLFormatError(f"{who}: expected an output, got none")
    named = own.get("output") or [own[field] for field in _TAGS if own.get(field)]
    for name, made in outputs.items():
        if made.feature.type not in types:
            expected = " or ".join(kind.name.lower() for kind in types)
            raise MLFormatError(f"{who}: output {name!r}: expected a feature of type {expected}, got {made.feature.phrase}")
        if named and name not in named:
            raise MLFormatError(f"{who}: output {name!r}: expected one that the model names ({', '.join(named)}), got another")
