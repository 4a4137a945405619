"""Custom models: classes that callers register, and what is said where one is missing or fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tailor
from tailor import (
    MLCustomModelError,
    MLFeatureError,
    MLFormatError,
    MLModel,
    MLModelDescription,
    MLModelError,
    MLModelErrorCode,
)
from tailor.runtime.format import (
    Model,
    array_feature,
    dictionary_feature,
    double_feature,
    image_feature,
    int64_feature,
    sequence_feature,
    string_feature,
)
from tests.models.hand_made import X, Y, Z


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """The name that a test registered is free again."""
    yield
    tailor.register_custom_model("Own", None)


def custom(inputs: Any = (X,), outputs: Any = (Y,), name: str = "Own", **parameters: Any) -> Model:
    made = Model(specificationVersion=4)
    made.customModel.className = name
    for key, (field, value) in parameters.items():
        setattr(made.customModel.parameters[key], field, value)
    made.description.input.extend(inputs)
    made.description.output.extend(outputs)
    return made


class Rows:
    """y = factor * x, one by one."""

    def __init__(self, parameters: Mapping[str, Any], description: MLModelDescription) -> None:
        self.factor = parameters.get("factor", 2.0)
        self.outputs = list(description.output_descriptions_by_name)

    def predict(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        assert type(inputs["x"]) is float
        return dict.fromkeys(self.outputs, self.factor * inputs["x"])


class Batches:
    """y = 3 * x, all at once."""

    def __init__(self, parameters: Mapping[str, Any], description: MLModelDescription) -> None:
        self.counts: list[int] = []

    def predict_batch(self, columns: Mapping[str, Any], count: int) -> Mapping[str, Any]:
        self.counts.append(count)
        return {"y": columns["x"] * 3.0}


def test_a_registered_class_predicts() -> None:
    tailor.register_custom_model("Own", Rows)
    model = MLModel.from_spec(custom(factor=("doubleValue", 0.5)))
    assert model.predict({"x": 3.0}) == {"y": 1.5}
    assert model.predict([{"x": float(number)} for number in range(4)]) == [{"y": number / 2} for number in range(4)]


def test_a_class_may_take_a_batch_at_once() -> None:
    made = []
    tailor.register_custom_model("Own", lambda parameters, description: made.append(Batches(parameters, description)) or made[-1])
    model = MLModel.from_spec(custom())
    assert model.predict({"x": 1.0}) == {"y": 3.0}
    assert model.predict([{"x": float(number)} for number in range(5)]) == [{"y": 3.0 * number} for number in range(5)]
    assert [one.counts for one in made] == [[1, 5]], "one instance"


def test_it_is_given_its_parameters_and_description_once_however_many_threads_begin() -> None:
    given: list[Any] = []

    def make(parameters: Mapping[str, Any], description: MLModelDescription) -> Any:
        given.append((dict(parameters), list(description.input_descriptions_by_name)))
        return Rows(parameters, description)

    tailor.register_custom_model("Own", make)
    values = {
        "d": ("doubleValue", 0.25),
        "s": ("stringValue", "words"),
        "i": ("intValue", -3),
        "l": ("longValue", 2**40),
        "b": ("boolValue", False),
        "y": ("bytesValue", b"\0\1"),
    }
    model = MLModel.from_spec(custom(**values))
    threads = [threading.Thread(target=model.predict, args=({"x": 1.0},)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert given == [({name: value for name, (_, value) in values.items()}, ["x"])]


# feature, what the class answers, what the caller gets
CONVERTED: dict[str, tuple[Any, Any, Any]] = {
    "a double from a whole number": (double_feature("y"), 3, 3.0),
    "an integer from a whole double": (int64_feature("y"), 3.0, 3),
    "a string": (string_feature("y"), "cat", "cat"),
    "an array from a list": (array_feature("y", [2]), [1, 2], np.array([1, 2], np.float32)),
    "an array of doubles": (array_feature("y", [2, 1], "double"), np.ones((2, 1), np.float32), np.ones((2, 1))),
    "NaN": (array_feature("y", [1]), np.array([np.nan]), np.array([np.nan], np.float32)),
    "a dictionary": (dictionary_feature("y"), {"cat": 1}, {"cat": 1.0}),
    "a sequence": (sequence_feature("y", int), np.array([1, 2]), [1, 2]),
}


@pytest.mark.parametrize("batch", [False, True], ids=["rows", "batches"])
@pytest.mark.parametrize(("feature", "answered", "expected"), CONVERTED.values(), ids=CONVERTED.keys())
def test_answers_are_converted_to_what_the_description_says(feature: Any, answered: Any, expected: Any, batch: bool) -> None:
    class Fixed:
        def __init__(self, parameters: Any, description: Any) -> None:
            if batch:
                self.predict_batch = lambda columns, count: {"y": [answered] * count, "more": None}

        def predict(self, inputs: Any) -> Any:
            return {"y": answered, "more": None}

    tailor.register_custom_model("Own", Fixed)
    model = MLModel.from_spec(custom(outputs=[feature]))
    for answer in (model.predict({"x": 1.0}), *model.predict([{"x": 1.0}] * 2)):
        np.testing.assert_equal(answer["y"], expected)
        assert type(answer["y"]) is type(expected)
        assert getattr(answer["y"], "dtype", None) == getattr(expected, "dtype", None)


def test_images_come_as_arrays_and_go_as_pictures() -> None:
    class Negative:
        def __init__(self, parameters: Any, description: Any) -> None: ...

        def predict(self, inputs: Mapping[str, Any]) -> Any:
            assert inputs["picture"].shape == (2, 3, 3)
            return {"negative": 255 - inputs["picture"]}

    tailor.register_custom_model("Own", Negative)
    model = MLModel.from_spec(custom([image_feature("picture", 3, 2, "RGB")], [image_feature("negative", 3, 2, "RGB")]))
    picture = Image.new("RGB", (3, 2), (1, 2, 3))
    assert model.predict({"picture": picture})["negative"].convert("RGB").getpixel((0, 0)) == (254, 253, 252)


def test_an_optional_input_that_is_not_given_is_not_there() -> None:
    class Counts:
        def __init__(self, parameters: Any, description: Any) -> None: ...

        def predict(self, inputs: Mapping[str, Any]) -> Any:
            return {"z": len(inputs)}

    tailor.register_custom_model("Own", Counts)
    model = MLModel.from_spec(custom([X, double_feature("y", optional=True)], [Z]))
    assert model.predict([{"x": 1.0}, {"x": 1.0, "y": 1.0}, {"x": 2.0}]) == [{"z": 1.0}, {"z": 2.0}, {"z": 1.0}]


def answering(answer: Any, *, batch: bool = False) -> Any:
    """A class that gives ``answer(x)`` for each example, or ``answer`` for all."""

    class Answering:
        def __init__(self, parameters: Any, description: Any) -> None:
            if batch:
                self.predict_batch = lambda columns, count: answer

        def predict(self, inputs: Mapping[str, Any]) -> Any:
            return answer(inputs["x"])

    return Answering


def fails(x: float) -> Any:
    if x:
        raise KeyError("lost")
    return {"y": 0.0}


def refuses(x: float) -> Any:
    raise MLFeatureError("input 'x': expected one that is liked, got another")


def unmade(parameters: Any, description: Any) -> Any:
    raise OSError("no disk")


TOLD = r"model 'model': custom model of class 'Own' with parameters {size=7}: "
FAILURES: dict[str, tuple[Any, type[MLModelError], str]] = {
    "no class": (None, MLCustomModelError, TOLD + r"expected a class registered with register_custom_model\('Own', ...\), got none"),
    "one that cannot be made": (unmade, MLCustomModelError, TOLD + "OSError: no disk"),
    "one that fails": (answering(fails), MLCustomModelError, "^example 1: " + TOLD + "KeyError: 'lost'"),
    "one that refuses its input": (answering(refuses), MLFeatureError, "^example 0: input 'x': expected one that is liked, got another$"),
    "no outputs": (answering(lambda x: 3.0), MLCustomModelError, TOLD + "expected outputs by name, got float"),
    "another output": (answering(lambda x: {"z": 1.0}), MLCustomModelError, TOLD + "expected output 'y', got 'z'"),
    "an output of another type": (answering(lambda x: {"y": "far"}), MLCustomModelError, TOLD + "output 'y': expected a double, got"),
    "one of several": (
        answering(lambda x: {"y": "far" if x else x}),
        MLCustomModelError,
        "^example 1: " + TOLD + "output 'y': expected a double, got",
    ),
    "too few at once": (answering({"y": [1.0]}, batch=True), MLCustomModelError, TOLD + "output 'y': .* 2 values, got 1"),
    "one for all": (answering({"y": 1.0}, batch=True), MLCustomModelError, TOLD + "output 'y': .* 2 values, got float"),
    "an array of no axes": (answering({"y": np.ones(())}, batch=True), MLCustomModelError, TOLD + "output 'y': .* 2 values, got ndarray"),
    "no method": (lambda parameters, description: object(), MLCustomModelError, TOLD + "expected a method predict or predict_b"),
}  # fmt: skip


@pytest.mark.parametrize(("made", "kind", "told"), FAILURES.values(), ids=FAILURES.keys())
def test_a_class_that_fails_is_named_with_its_parameters(made: Any, kind: type[MLModelError], told: str) -> None:
    tailor.register_custom_model("Own", made)
    model = MLModel.from_spec(custom(size=("longValue", 7)))
    with pytest.raises(kind, match=told) as caught:
        model.predict([{"x": 0.0}, {"x": 1.0}])
    assert caught.value.code is (MLModelErrorCode.CUSTOM_MODEL if kind is MLCustomModelError else MLModelErrorCode.FEATURE_TYPE)


def test_a_name_may_be_given_later_anew_and_taken_back() -> None:
    model = MLModel.from_spec(custom())
    with pytest.raises(MLCustomModelError, match="got none"):
        model.predict({"x": 1.0})
    tailor.register_custom_model("Own", Rows)
    assert model.predict({"x": 1.0}) == {"y": 2.0}
    tailor.register_custom_model("Own", Batches)
    assert model.predict({"x": 1.0}) == {"y": 2.0}, "a model that has predicted goes on with what it has"
    assert MLModel.from_spec(custom()).predict({"x": 1.0}) == {"y": 3.0}
    tailor.register_custom_model("Own", None)
    with pytest.raises(MLCustomModelError, match="got none"):
        MLModel.from_spec(custom()).predict({"x": 1.0})


def valueless(spec: Model) -> None:
    spec.customModel.parameters["size"].SetInParent()


def nameless(spec: Model) -> None:
    spec.customModel.parameters[""].longValue = 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda spec: spec.customModel.ClearField("className"), "className: expected the name of a class, got none"),
        (valueless, r"parameters\['size'\]: expected a value, got none"),
        (nameless, "parameters: expected names, got an empty one"),
    ],
)
def test_custom_models_that_say_too_little_are_refused(change: Callable[[Model], None], told: str) -> None:
    spec = custom()
    change(spec)
    with pytest.raises(MLFormatError, match=told):
        MLModel.from_spec(spec).predict({"x": 1.0})
