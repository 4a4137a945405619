"""Linked models: a model that stands for another one in a file of its own, which is in memory once, however many link to it.

Source: ``LinkedModel.proto`` of the format, and Core ML's parameter keys linkedModelFileName and linkedModelSearchPath.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

import numpy as np

from ..description import MLModelDescription, describe
from ..errors import MLFeatureError, MLFormatError, MLParameterError
from ..format import load_model, package_model, pipeline_of
from ..values import MLFeatureDescription, MLFeatureType, default_value
from .family import Column, Columns, Predictor
from .fitting import fitted
from .missing import TAKES_ABSENCE, TAKES_NAN, inputs_to
from .origin import Origin

Builder: TypeAlias = Callable[[Any, Mapping[str, object], str, Origin], Predictor]

LONGEST = 16
"""How many links may follow each other."""


class LinkedPredictor:
    """Predicts with the model that is linked to.

    ``parameters`` may hold ``linkedModelFileName`` and ``linkedModelSearchPath``, instead of the model's defaults; the linked
    model itself has its own defaults. ``build`` makes its predictor. Raises ``MLFormatError`` where the file is not there, is
    no model, is out of the folders of ``origin``, links to itself, or has other features than are declared here.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str, origin: Origin, build: Builder) -> None:
        self._who = who
        self._outputs = tuple(feature.name for feature in spec.description.output)
        self.linked = _shared(_found(spec, parameters, who, origin), who, origin, build, ())
        _check_features(describe(spec), self.linked, who)

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """The linked model's answers, of which the outputs declared here."""
        made = self.linked.predict(columns, count, self._who)
        return {name: made[name] for name in self._outputs}


class Linked:
    """A model that others link to; one object a file, while there is one that does."""

    def __init__(self, path: Path, spec: Any, origin: Origin, build: Builder, links: list[Linked]) -> None:
        self.who = f"linked model {path.name!r}"
        self.description: MLModelDescription = describe(spec)
        self._spec = spec
        self._origin = origin
        self._build = build
        self._links = links  # what it links to in its turn stays in memory with it
        self._building = threading.Lock()
        self._built: Predictor | None = None

    def predict(self, columns: Columns, count: int, who: str) -> dict[str, Column]:
        """Its answers to what ``who`` is given. An optional input that is lacking is what it is to the model by itself."""
        given: dict[str, Column] = {}
        for name, described in self.description.input_descriptions_by_name.items():
            column = columns.get(name) if name in columns else self._filled(described, count)
            if column is not None:
                given[name] = fitted(described, column, f"{who}: input", finite=name not in self._nan)
            elif name not in self._absent:
                raise MLFeatureError(f"{who}: input {name!r}: expected a value, got none (given: {', '.join(columns) or 'nothing'})")
        return self._predictor.predict(given, count)

    def _filled(self, described: MLFeatureDescription, count: int) -> Column | None:
        default = default_value(described) if described.optional else None
        if default is not None:
            return np.stack([default] * count)
        missing = described.optional and described.type is MLFeatureType.DOUBLE and described.name in self._nan - self._absent
        return np.full(count, np.nan) if missing else None

    @cached_property
    def _nan(self) -> frozenset[str]:
        return inputs_to(self._spec, TAKES_NAN)

    @cached_property
    def _absent(self) -> frozenset[str]:
        optional = frozenset(name for name, told in self.description.input_descriptions_by_name.items() if told.optional)
        return optional & inputs_to(self._spec, TAKES_ABSENCE)

    @property
    def _predictor(self) -> Predictor:
        with self._building:
            if self._built is None:
                self._built = self._build(self._spec, {}, self.who, self._origin)
            return self._built


@dataclass(frozen=True, slots=True)
class _File:
    """What a linked model is known by: a file that has been written again is another one.

    ``allowed``: the folders that its own links may lead into, ``None`` where it has none.
    """

    path: Path
    written: tuple[int, int, int, int]
    allowed: tuple[Path, ...] | None


_loading = threading.RLock()
_loaded: WeakValueDictionary[_File, Linked] = WeakValueDictionary()


def _shared(path: Path, who: str, origin: Origin, build: Builder, within: tuple[Path, ...]) -> Linked:
    """The model in ``path``: the one in memory, or loaded, with all that it links to. ``within``: the links that lead to it."""
    if path in within:
        chain = " -> ".join(link.name for link in (*within[within.index(path) :], path))
        raise MLFormatError(f"{who}: expected a link that ends at a model, got one that leads back to itself: {chain}")
    if len(within) == LONGEST:
        raise MLFormatError(f"{who}: expected at most {LONGEST} links that follow each other, got more")
    own = Origin(path.parent, origin.allowed)
    with _loading:
        for file in (_file(path, origin, None), _file(path, origin, origin.allowed)):
            linked = _loaded.get(file)
            if linked is not None:
                return linked
        spec = load_model(path)
        name = f"linked model {path.name!r}"
        links = [_shared(_found(link, {}, name, own), name, own, build, (*within, path)) for link in _links_in(spec)]
        linked = Linked(path, spec, own, build, links)
        _loaded[_file(path, origin, origin.allowed if links else None)] = linked
        return linked


def _file(path: Path, origin: Origin, allowed: tuple[Path, ...] | None) -> _File:
    try:
        target = package_model(path) if path.is_dir() else path
        told = os.stat(target)
    except OSError as error:
        raise MLFormatError(f"{path.name}: expected a Core ML model file, got {error.strerror}") from error
    if not origin.holds(target):
        raise MLFormatError(f"{path.name}: expected a package whose model is inside of it, got one that leads to {target}")
    return _File(path, (told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns), allowed)


def _found(spec: Any, parameters: Mapping[str, object], who: str, origin: Origin) -> Path:
    """The file that the linked model ``spec`` links to."""
    if spec.isUpdatable:
        raise MLFormatError(f"{who}: expected a linked model that is not updatable, got one that is marked as updatable")
    if spec.linkedModel.WhichOneof("LinkType") is None:
        raise MLFormatError(f"{who}: LinkType: expected a linkedModelFile, got none")
    file = spec.linkedModel.linkedModelFile
    found = {}
    for field in ("linkedModelFileName", "linkedModelSearchPath"):
        value = parameters.get(field, getattr(file, field).defaultValue)
        if not isinstance(value, str):
            raise MLParameterError(f"{who}: parameter {field}: expected text, got {value!r}")
        found[field] = value
    return origin.find(found["linkedModelFileName"], found["linkedModelSearchPath"], who)


def _links_in(spec: Any) -> Iterator[Any]:
    """The linked models that ``spec`` is, or has inside."""
    if spec.WhichOneof("Type") == "linkedModel":
        yield spec
    pipeline = pipeline_of(spec)
    for model in pipeline.models if pipeline is not None else ():
        yield from _links_in(model)


def _check_features(declared: MLModelDescription, linked: Linked, who: str) -> None:
    """Raises ``MLFormatError`` unless the linked model takes and makes what is declared, and needs nothing else."""
    inputs, outputs = linked.description.input_descriptions_by_name, linked.description.output_descriptions_by_name
    for kind, ours, theirs in (
        ("input", declared.input_descriptions_by_name, inputs),
        ("output", declared.output_descriptions_by_name, outputs),
    ):
        for name, feature in ours.items():
            if name not in theirs:
                raise MLFormatError(f"{who}: {kind} {name!r}: expected one that {linked.who} has ({', '.join(theirs)}), got another")
            if feature.type is not theirs[name].type:
                raise MLFormatError(f"{who}: {kind} {name!r}: expected {theirs[name].phrase}, as {linked.who} has it, got {feature.phrase}")
    for name, feature in inputs.items():
        if name not in declared.input_descriptions_by_name and not feature.optional:
            raise MLFormatError(f"{who}: expected input {name!r}, which {linked.who} needs, got none among those declared")
