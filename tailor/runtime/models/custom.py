"""Custom models: what a class of the caller's predicts, checked against the model's description.

Source: ``CustomModel.proto`` of the format, and Core ML's MLCustomModel.
"""

from __future__ import annotations

import reprlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..custom_models import ModelFactory, custom_model
from ..description import describe
from ..errors import MLCustomModelError, MLFeatureError, MLFormatError, MLModelError
from ..values import MLFeatureDescription
from .family import Column, Columns
from .fitting import fitted


class OwnModel:
    """A model that predicts with an instance of a class of the caller's, made when it is first needed.

    ``find`` gives the class, or raises what tells that there is none; ``told`` is what errors call it.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, Any], told: str, find: Callable[[], ModelFactory]) -> None:
        self._description = describe(spec)
        self._parameters = parameters
        self._told = told
        self._find = find
        self._making = threading.Lock()
        self._made: Any = None

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """The instance's answers. Raises ``MLCustomModelError`` where it fails, or answers something else than the description says.

        Errors of tailor's own that it raises, such as an ``MLFeatureError`` about its inputs, go on as they are.
        """
        instance = self._instance()
        batch: Any = getattr(instance, "predict_batch", None)
        single: Any = getattr(instance, "predict", None)
        if batch is None and single is None:
            raise MLCustomModelError(f"{self._told}: expected a method predict or predict_batch, got an {type(instance).__name__} without")
        answers = self._batch(batch, columns, count) if batch is not None else self._rows(single, columns, count)
        outputs = self._description.output_descriptions_by_name
        return {name: self._fitted(described, answers[name]) for name, described in outputs.items()}

    def _fitted(self, described: MLFeatureDescription, column: Column) -> Column:
        try:
            return fitted(described, column, f"{self._told}: output")
        except MLFeatureError as error:
            failure = MLCustomModelError(*error.args)
            failure.example = error.example
            raise failure from error

    def _rows(self, predict: Callable[[Mapping[str, Any]], Any], columns: Columns, count: int) -> Mapping[str, Column]:
        answers = []
        for row in range(count):
            inputs = {name: _plain(column[row]) for name, column in columns.items()}
            try:
                answers.append(self._named(self._called(predict, inputs)))
            except (MLCustomModelError, MLFeatureError) as error:
                error.of_example(row)
                raise
        return {name: [answer[name] for answer in answers] for name in self._description.output_descriptions_by_name}

    def _batch(self, predict: Callable[[Columns, int], Any], columns: Columns, count: int) -> Mapping[str, Column]:
        answers = self._named(self._called(predict, columns, count))
        for name in self._description.output_descriptions_by_name:
            column = answers[name]
            listed = isinstance(column, (list, tuple)) or (isinstance(column, np.ndarray) and column.ndim > 0)
            if not listed or len(column) != count:
                got = len(column) if listed else type(column).__name__
                raise MLCustomModelError(f"{self._told}: output {name!r}: expected a list or an array of {count} values, got {got}")
        return answers

    def _named(self, answer: Any) -> Mapping[str, Any]:
        """``answer``, if it has all outputs by name."""
        if not isinstance(answer, Mapping):
            raise MLCustomModelError(f"{self._told}: expected outputs by name, got {type(answer).__name__}")
        for name in self._description.output_descriptions_by_name:
            if name not in answer:
                got = ", ".join(map(repr, answer)) or "nothing"
                raise MLCustomModelError(f"{self._told}: expected output {name!r}, got {got}")
        return answer

    def _instance(self) -> Any:
        with self._making:
            if self._made is None:
                self._made = self._called(self._find(), self._parameters, self._description)
            return self._made

    def _called(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except MLModelError:
            raise
        except Exception as error:
            raise MLCustomModelError(f"{self._told}: {type(error).__name__}: {error}") from error


class CustomPredictor:
    """Predicts with the class registered under the name that the model has; it is looked up when the model first predicts.

    Raises ``MLFormatError`` where the model names no class, or has a parameter without name or value.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        message = spec.customModel
        name = message.className
        if not name:
            raise MLFormatError(f"{who}: className: expected the name of a class, got none")
        own = {key: _value(value, f"{who}: parameters[{key!r}]") for key, value in sorted(message.parameters.items())}
        if "" in own:
            raise MLFormatError(f"{who}: parameters: expected names, got an empty one")
        told = f"{who}: custom model of class {name!r} with {shown(own)}"

        def find() -> ModelFactory:
            found = custom_model(name)
            if found is None:
                raise MLCustomModelError(f"{told}: expected a class registered with register_custom_model({name!r}, ...), got none")
            return found

        self._model = OwnModel(spec, own, told, find)

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """What the class answers. Raises ``MLCustomModelError`` where none is registered, and as ``OwnModel.predict`` does."""
        return self._model.predict(columns, count)


def shown(parameters: Mapping[str, Any]) -> str:
    """Parameters for errors; long ones are cut."""
    return f"parameters {{{', '.join(f'{name}={reprlib.repr(value)}' for name, value in parameters.items())}}}"


def _value(message: Any, where: str) -> Any:
    kind = message.WhichOneof("value")
    if kind is None:
        raise MLFormatError(f"{where}: expected a value, got none")
    return getattr(message, kind)


def _plain(value: Any) -> Any:
    """A number of a column as Python's own; everything else as it is."""
    return value.item() if isinstance(value, np.generic) else value
