"""The examples of a nearest neighbour classifier: listed, asked why, and forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import MLFormatError, MLUnsupportedError, MLUpdateError, numbered
from .format import OriginRow, read_origins, write_origins
from .models import Neighbor, NeighborsAsked, Taught, last_classifier
from .network import at_most

if TYPE_CHECKING:
    from .configuration import MLModelConfiguration
    from .model import MLModel

Label: TypeAlias = str | int

SHOWN = 10
"""How many of a kind an error lists."""


@dataclass(frozen=True, slots=True)
class MLExample:
    """One example that a nearest neighbour classifier keeps.

    ``index``: its place among them, in the order in which they were added; it changes when an earlier one is forgotten. ``id``,
    ``source`` and ``time`` are ``None`` where they are not known, as in models that were not taught by tailor.
    """

    index: int
    id: str | None
    label: Label
    source: str | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class MLNeighbor:
    """One of the examples that voted on an answer.

    ``distance`` is the squared Euclidean distance. ``weight`` is its share of the votes: the weights of a label add up to the label's
    probability; where examples match exactly and votes are weighted by distance, those that do not have weight 0. The others
    are as ``MLExample`` has them.
    """

    index: int
    id: str | None
    label: Label
    distance: float
    weight: float
    source: str | None = None
    time: datetime | None = None


def examples_of(model: MLModel) -> list[MLExample]:
    """See ``MLModel.examples``."""
    labels, rows = _kept(_classifier(model, model.spec, "to have examples"), model.name)
    told = enumerate(zip(labels, rows, strict=True))
    return [MLExample(place, row[0] if row else None, label, *_rest(row)) for place, (label, row) in told]


def explain(model: MLModel, data: Any) -> Any:
    """See ``MLModel.explain``."""
    _classifier(model, model._outline, "to explain an answer by its neighbours")
    rows, single = model._rows(data)
    answers: list[list[MLNeighbor]] = [[] for _ in rows]
    for numbers, columns in model._inputs.grouped(rows, single) if rows else ():
        with at_most(model.configuration.threads), numbered([None] if single else numbers):
            found = _asked(model).explain(columns, len(numbers))
        for number, neighbors in zip(numbers, found, strict=True):
            answers[number] = [_neighbor(row) for row in neighbors]
    return answers[0] if single else answers


def without_examples(
    model: MLModel, ids: str | Iterable[str] | None, labels: Label | Iterable[Label] | None, sources: str | Iterable[str] | None
) -> MLModel:
    """See ``MLModel.without_examples``."""
    classifier = _classifier(model, model.spec, "to forget examples")
    has_labels, rows = _kept(classifier, model.name)
    has_ids, has_sources = [row[0] if row else None for row in rows], [(row[1] or None) if row else None for row in rows]
    going: set[int] = set()
    for what, given, has in (("id", ids, has_ids), ("label", labels, has_labels), ("source", sources, has_sources)):
        if given is None:
            continue
        wanted = set(given) if isinstance(given, Iterable) and not isinstance(given, str) else {given}
        unknown = sorted(wanted - (set(has) - {None}), key=str)
        if unknown or not wanted:
            got = f"{', '.join(map(repr, unknown[:SHOWN]))}, which no example has" if unknown else "none"
            raise MLUpdateError(f"{model.name}: expected {what}s of examples to forget ({_listed(has)}), got {got}")
        going |= {place for place, value in enumerate(has) if value in wanted}
    if ids is None and labels is None and sources is None:
        raise MLUpdateError(f"{model.name}: expected ids, labels or sources of examples to forget, got none")
    if len(going) == len(rows) and classifier.kNearestNeighborsClassifier.WhichOneof("DefaultClassLabel") is None:
        raise MLUpdateError(
            f"{model.name}: expected an example to stay, for the model has no default label to answer with when there is none; "
            f"got {len(going)} to forget of {len(rows)}"
        )

    def write(spec: Any) -> None:
        _forget(last_classifier(spec), going, model.name)

    return model._changed(write)


def taught(model: MLModel, examples: Taught) -> MLModel:
    """A new model that knows ``examples`` too, and shares with ``model`` all that both have: its message, and what is ready."""
    message, before = model._message.plus(examples), model._message.plus()
    grown = type(model).from_spec(message.outline, model.name, model.configuration, folder=model.folder)
    grown._message = message
    grown._predictor = _asked(model).taught(examples)
    index = last_classifier(before.outline).kNearestNeighborsClassifier.nearestNeighborsIndex
    known: tuple[Any, ...] = model.description.class_labels if before.has_examples or index.floatSamples else ()
    labels = dict.fromkeys([*known, *(label for batch in examples.batches for label in batch.labels)])
    grown.description = replace(model.description, class_labels=tuple(labels) or model.description.class_labels)
    return grown


def configured(model: MLModel, configuration: MLModelConfiguration) -> MLModel:
    """``model`` with another configuration; examples that are ready stay so."""
    message = model._message.plus()
    other = type(model).from_spec(message.outline, model.name, configuration, folder=model.folder)
    other._message = message.over(other._outline)
    other.description = model.description
    if last_classifier(message.outline) is not None:
        _asked(other).knowing(_asked(model))
    return other


def _asked(model: MLModel) -> NeighborsAsked:
    """The predictor of a model that ends in nearest neighbours, as its message says."""
    predictor = model._ready()
    assert isinstance(predictor, NeighborsAsked)
    return predictor


def _neighbor(found: Neighbor) -> MLNeighbor:
    name = found.origin[0] if found.origin else None
    return MLNeighbor(found.index, name, found.label, found.distance, found.weight, *_rest(found.origin))


def _classifier(model: MLModel, spec: Any, purpose: str) -> Any:
    """The message of the nearest neighbour classifier that the model, of message ``spec``, is or ends in."""
    classifier = last_classifier(spec)
    if classifier is None:
        raise MLUnsupportedError(
            f"{model.name}: expected a nearest neighbour classifier, or a pipeline that ends in one, {purpose}, got a {model.model_type}"
        )
    return classifier


def _kept(classifier: Any, who: str) -> tuple[list[Label], list[OriginRow]]:
    """Label and origin of each sample."""
    message = classifier.kNearestNeighborsClassifier
    kind = message.WhichOneof("ClassLabels")
    labels = list(getattr(message, kind).vector) if kind else []
    rows = read_origins(classifier, who)
    if len(labels) != len(rows):
        raise MLFormatError(f"{who}: expected a label for each of {len(rows)} samples, got {len(labels)}")
    return labels, rows


def _forget(classifier: Any, going: Set[int], who: str) -> None:
    """Takes the examples at these places out of a classifier."""
    labels, rows = _kept(classifier, who)
    message = classifier.kNearestNeighborsClassifier
    samples = message.nearestNeighborsIndex.floatSamples
    for last in sorted((place for place in going if place + 1 not in going), reverse=True):  # whole runs, from behind
        first = last
        while first - 1 in going:
            first -= 1
        del samples[first : last + 1]
    staying = [place for place in range(len(rows)) if place not in going]
    getattr(message, message.WhichOneof("ClassLabels")).vector[:] = [labels[place] for place in staying]
    write_origins(classifier, [rows[place] for place in staying], who)


def _rest(row: OriginRow) -> tuple[str | None, datetime | None]:
    """Source and time."""
    if row is None:
        return None, None
    try:
        return row[1] or None, datetime.fromisoformat(row[2]) if row[2] else None
    except ValueError:
        raise MLFormatError(f"origin of example {row[0]!r}: expected a time in ISO 8601, got {row[2]!r}") from None


def _listed(values: Iterable[Any]) -> str:
    """Those that there are, for an error."""
    known = [repr(value) for value in dict.fromkeys(values) if value is not None]
    return f"{', '.join(known[:SHOWN])}{' ...' if len(known) > SHOWN else ''}" if known else "it has none"
