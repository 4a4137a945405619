"""Pipelines: what goes to which model, in which form, under which name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from tailor.runtime.errors import MLFeatureError, MLFormatError, MLParameterError, MLUnsupportedError
from tailor.runtime.format import Model, make_pipeline
from tailor.runtime.format.features import array_feature, double_feature, image_feature, int64_feature, string_feature
from tailor.runtime.models import Columns, build_learner, build_predictor
from tailor.runtime.models.pipeline import PipelinePredictor
from tests.models.hand_made import X, Y, Z, classifier, model, pipeline

LABEL = string_feature("label")
Function = Callable[[Columns], dict[str, Any]]


class Played:
    """Predictors that are functions of their columns, one a model in the order in which they are built; keeps what they were given."""

    def __init__(self, *functions: Function) -> None:
        self.waiting = list(functions)
        self.given: list[dict[str, Any]] = []
        self.built: list[tuple[str, dict[str, object]]] = []

    def __call__(self, spec: Any, parameters: Mapping[str, object], who: str) -> Any:
        self.built.append((who, dict(parameters)))
        played, function = self, self.waiting.pop(0)

        class Playing:
            def predict(self, columns: Columns, count: int) -> dict[str, Any]:
                played.given.append(dict(columns))
                return function(columns)

        return Playing()


@pytest.mark.parametrize("kind", ["pipeline", "pipelineClassifier", "pipelineRegressor"])
def test_each_model_gets_what_it_names_and_the_newest_of_that_name(kind: str) -> None:
    first = model([X], [Y, double_feature("spare")])
    second = model([X, Y], [X])  # makes x anew
    third = model([X, LABEL], [Z])
    whole = pipeline([first, second, third], [X, LABEL], [Z, Y, LABEL], kind=kind)
    played = Played(
        lambda given: {"y": given["x"] + 1, "spare": given["x"]},
        lambda given: {"x": given["x"] * given["y"]},
        lambda given: {"z": given["x"] - 1},
    )
    x = np.array([2.0, 5.0])
    made = PipelinePredictor(whole, {}, "three", played).predict({"x": x, "label": ["a", "b"]}, 2)
    assert [list(given) for given in played.given] == [["x"], ["x", "y"], ["x", "label"]]
    assert list(made) == ["z", "y", "label"]
    np.testing.assert_array_equal(made["z"], x * (x + 1) - 1)
    np.testing.assert_array_equal(made["y"], x + 1)
    assert made["label"] == ["a", "b"]
    assert [who for who, _ in played.built] == ["model 'model0' of three", "model 'model1' of three", "model 'model2' of three"]


# what a model makes, what the next one declares -> what that one must get
FITTED = {
    "as it is": (np.ones((2, 3), np.float32), array_feature("y", [3]), np.ones((2, 3), np.float32)),
    "a vector from channels": (np.ones((2, 3, 1, 1), np.float32), array_feature("y", [3]), np.ones((2, 3), np.float32)),
    "channels from a vector": (np.ones((2, 3), np.float32), array_feature("y", [3, 1, 1]), np.ones((2, 3, 1, 1), np.float32)),
    "a vector from the rank 5 of old networks": (
        np.ones((2, 1, 1, 3, 1, 1), np.float32),
        array_feature("y", [3]),
        np.ones((2, 3), np.float32),
    ),
    "another float": (np.ones((2, 3), np.float32), array_feature("y", [3], "double"), np.ones((2, 3), np.float64)),
    "a whole number": (np.full((2, 3), 7.0, np.float32), array_feature("y", [3], "int32"), np.full((2, 3), 7, np.int32)),
    "an array of one from numbers": (np.array([1.0, 2.0]), array_feature("y", [1]), np.array([[1.0], [2.0]], np.float32)),
    "a list of arrays": ([np.ones(3), np.ones((3, 1))], array_feature("y", [3, 1]), None),
    "NaN, which some models take": (np.full((2, 3), np.nan), array_feature("y", [3]), np.full((2, 3), np.nan, np.float32)),
    "a double from whole numbers": (np.array([1, 2]), Y, np.array([1.0, 2.0])),
}


@pytest.mark.parametrize(("made", "declared", "expected"), FITTED.values(), ids=FITTED.keys())
def test_values_come_as_the_next_model_declares_them(made: Any, declared: Any, expected: Any) -> None:
    whole = pipeline([model([], [int64_feature("y")]), model([declared], [])])
    played = Played(lambda given: {"y": made}, lambda given: {})
    predictor = PipelinePredictor(whole, {}, "two", played)
    if expected is None:
        with pytest.raises(
            MLFeatureError, match=r"model 'model1' of two: example 0: input 'y': expected a float32 multi-array of shape \[3, 1\]"
        ):
            predictor.predict({}, 2)
        return
    predictor.predict({}, 2)
    got = played.given[1]["y"]
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)
    assert (got is made) == (expected.dtype == np.asarray(made).dtype and expected.shape == made.shape)


def test_a_flexible_shape_takes_what_it_allows() -> None:
    second = model([array_feature("y", [2, 2])], [])
    for shape in ([2, 2], [2, 3]):
        second.description.input[0].type.multiArrayType.enumeratedShapes.shapes.add(shape=shape)
    whole = pipeline([model([], [array_feature("y")]), second])
    for shape, fits in (((1, 2, 3), True), ((1, 3, 2), False)):
        predictor = PipelinePredictor(
            whole, {}, "two", Played(lambda given, shape=shape: {"y": np.zeros(shape, np.float32)}, lambda given: {})
        )
        if fits:
            assert predictor.predict({}, 1) == {}
        else:
            with pytest.raises(MLFeatureError, match="model 'model1' of two: example 0: input 'y': expected"):
                predictor.predict({}, 1)


def test_an_optional_input_may_be_absent_and_any_other_may_not() -> None:
    whole = pipeline([model([double_feature("x", optional=True), Y], [Z])], [Y], [Z])
    played = Played(lambda given: {"z": given["y"]})
    predictor = PipelinePredictor(whole, {}, "one", played)
    predictor.predict({"y": np.ones(1)}, 1)
    assert list(played.given[0]) == ["y"]
    with pytest.raises(MLFeatureError, match="model 'model0' of one: input 'y': expected a value, got only x"):
        predictor.predict({"x": np.ones(1)}, 1)


def test_an_output_that_no_model_makes_is_refused() -> None:
    whole = pipeline([model([X], [Y])], [X], [double_feature("nowhere")])
    with pytest.raises(MLFormatError, match="one: output 'nowhere': expected a model that makes it, got only x, y"):
        PipelinePredictor(whole, {}, "one", Played(lambda given: {"y": given["x"]})).predict({"x": np.ones(1)}, 1)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], r"p: expected as many names as models \(2\) or none, got 1"),
        (["a", "b", "c"], r"p: expected as many names as models \(2\) or none, got 3"),
        (["a", "a"], "p: expected unique names of models, got a, a"),
    ],
)
def test_names_are_unique_and_as_many_as_models(names: list[str], message: str) -> None:
    whole = pipeline([classifier([], []), classifier([], [])], names=names, updatable=True)
    for build in (lambda: build_predictor(whole, {}, "p"), lambda: build_learner(whole, "p")):
        with pytest.raises(MLFormatError, match=message):
            build()


def test_an_empty_pipeline_is_refused() -> None:
    with pytest.raises(MLFormatError, match="p: expected a pipeline of at least one model, got none"):
        build_predictor(pipeline([]), {}, "p")


def test_parameters_go_to_the_model_that_they_are_scoped_to() -> None:
    inner = pipeline([model([], []), model([], [])], names=["k.NN", "last"])
    whole = pipeline([model([], []), inner], names=["first", "inner"])
    given = {"numberOfNeighbors": 1, "first.numberOfNeighbors": 2, "inner.numberOfNeighbors": 3, "inner.k.NN.numberOfNeighbors": 4}
    played = Played(*[lambda given: {}] * 3)

    def build(spec: Any, parameters: Mapping[str, object], who: str) -> Any:
        return PipelinePredictor(spec, parameters, who, build) if spec.WhichOneof("Type") == "pipeline" else played(spec, parameters, who)

    build(whole, given, "nested").predict({}, 1)
    assert [(who, parameters["numberOfNeighbors"]) for who, parameters in played.built] == [
        ("model 'first' of nested", 2),
        ("model 'k.NN' of model 'inner' of nested", 4),
        ("model 'last' of model 'inner' of nested", 3),
    ]


def test_each_model_is_built_once_and_not_before_it_is_needed() -> None:
    whole = pipeline([model([X], [Y])], [X], [Y])
    played = Played(lambda given: {"y": given["x"]})
    predictor = PipelinePredictor(whole, {}, "one", played)
    assert played.built == []
    threads = [threading.Thread(target=predictor.predict, args=({"x": np.ones(1)}, 1)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(played.built) == 1
    assert len(played.given) == 4


def nearest(k: int = 1) -> Model:
    return classifier([[0, 0], [1, 0], [1, 1]], ["a", "b", "b"], k=k, weighting="uniform")


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_pipelines_in_pipelines_predict_and_learn(depth: int) -> None:
    whole = nearest()
    for _ in range(depth):
        whole = make_pipeline(None, [whole])
    point = np.array([[0.2, 0.1]], np.float32)
    assert build_predictor(whole, {}, "deep").predict({"input": point}, 1)["label"] == ["a"]
    assert build_predictor(whole, {"numberOfNeighbors": 3}, "deep").predict({"input": point}, 1)["label"] == ["b"]
    scoped = "model0." * depth + "numberOfNeighbors"
    assert build_predictor(whole, {scoped: 3}, "deep").predict({"input": point}, 1)["label"] == ["b"]
    with pytest.raises(MLParameterError, match=r"deep: parameter numberOfNeighbors"):
        build_predictor(whole, {scoped: 0}, "deep").predict({"input": point}, 1)

    front, learner = build_predictor(whole, {}, "deep"), build_learner(whole, "deep")
    assert isinstance(front, PipelinePredictor)
    columns = front.front_columns({"input": point, "label": ["new"]}, 1)
    assert learner.step(columns, 1, None) is None
    learner.writer()(whole)
    assert build_predictor(whole, {}, "deep").predict({"input": point}, 1)["label"] == ["new"]


def test_what_the_last_model_learns_from_is_made_by_those_in_front_and_its_target_given() -> None:
    front = model([image_feature("drawing", 4, 4)], [array_feature("input", [2, 1]), LABEL])  # its label is not for learning
    whole = make_pipeline("classifier", [front, nearest()])
    assert [feature.name for feature in whole.description.trainingInput] == ["drawing", "label"]
    played = Played(lambda given: {"input": given["drawing"].sum(axis=(1, 2))[:, None, None] * np.ones((2, 1)), "label": ["guess"]})
    images = np.ones((1, 4, 4), np.uint8)
    columns = PipelinePredictor(whole, {}, "learning", played).front_columns({"drawing": images, "label": ["truth"]}, 1)
    assert list(columns) == ["input", "label"]
    np.testing.assert_array_equal(columns["input"], np.full((1, 2), 16, np.float32))
    assert columns["label"] == ["truth"]
    assert len(played.built) == 1, "the last model is not run"


def test_a_part_that_cannot_be_run_says_so_only_when_it_is_run() -> None:
    unsupported = Model(specificationVersion=1)
    unsupported.mlProgram.SetInParent()
    whole = pipeline([unsupported, nearest()], names=["words", "neighbours"])
    predictor = build_predictor(whole, {}, "Text.mlmodel")
    with pytest.raises(MLUnsupportedError, match=r"^model 'words' of Text\.mlmodel is an ML Program: ML Programs are not supported yet"):
        predictor.predict({}, 1)
