"""Classes of the caller's own for models: custom models name a class, and parts that are private to Apple need one.

Whoever runs a custom model registers a class by its name, as Core ML's MLCustomModel is. What a private part computes only
Apple knows: a class may be provided that does it instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TypeAlias, get_args

from .description import MLModelDescription
from .errors import MLModelError


class MLCustomModel(Protocol):
    """What a class offers that is registered for a custom model or provided for a private part; it need not derive from this one.

    An instance is made for each model when it first predicts, by ``cls(parameters, description)``: ``parameters`` are what
    the model's message holds (for a private part ``docs/extending.md`` lists them), ``description`` is the model's own.
    Several threads may then call its methods at once.

    Values: whole numbers ``int``, doubles ``float``, strings ``str``, multi-arrays NumPy arrays of the declared type and
    shape, images uint8 arrays ``[H, W, 3]`` in RGB order or ``[H, W]``, dictionaries ``dict``, sequences ``list``; not to be
    changed. An optional input that was not given is not there. What is answered is converted to what the description says,
    as inputs are, and must have every output.

    Optional: ``predict_batch(columns, count)`` -> the outputs of ``count`` examples at once, by name a list, or an array
    ``[count, ...]``, as the inputs come; it is then called instead of ``predict``, also for one example.
    """

    def predict(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The outputs by name for one example."""
        ...


ModelFactory: TypeAlias = Callable[[Mapping[str, Any], MLModelDescription], MLCustomModel]
PrivatePart: TypeAlias = Literal["textClassifier", "wordTagger", "gazetteer", "wordEmbedding", "visionFeaturePrint", "audioFeaturePrint"]

_models: dict[str, ModelFactory] = {}
_providers: dict[str, ModelFactory] = {}


def register_custom_model(name: str, model: ModelFactory | None) -> None:
    """From now on, custom models whose class is called ``name`` are made by ``model(parameters, description)``.

    A name may be given anew; models that have predicted already go on with what they have. ``None`` takes the name back.
    """
    _put(_models, name, model)


def register_model_provider(part: PrivatePart, provider: ModelFactory | None) -> None:
    """From now on, ``provider(parameters, description)`` makes what predicts for models of the type ``part``, private to Apple.

    A part may be given anew; models that have predicted already go on with what they have. ``None`` takes it back. Raises
    ``MLModelError`` where ``part`` is no such type.
    """
    if part not in get_args(PrivatePart):
        raise MLModelError(f"register_model_provider: expected one of {', '.join(get_args(PrivatePart))}, got {part!r}")
    _put(_providers, part, provider)


def custom_model(name: str) -> ModelFactory | None:
    """What was registered for custom models of class ``name``."""
    return _models.get(name)


def model_provider(part: PrivatePart) -> ModelFactory | None:
    """What was provided for a private part."""
    return _providers.get(part)


def _put(registry: dict[str, ModelFactory], name: str, made: ModelFactory | None) -> None:
    if made is None:
        registry.pop(name, None)
    else:
        registry[name] = made
