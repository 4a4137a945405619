"""What was learned on one base, moved to another: entry by entry, by hand; and what cannot be moved is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from tailor import MLArrayBatchProvider, MLModel, MLStoreError, MLUpdateTask
from tailor.building import KNearestNeighborsClassifierBuilder, NeuralNetworkBuilder, SgdParams, array_feature, make_pipeline
from tailor.kernels import Array
from tailor.runtime.format import read_contents, write_contents
from tailor.runtime.store.example_set import removed_since
from tailor.runtime.store.rebasing import rebased
from tests.places import shared_model
from tests.store.test_merge_examples import BASE, BASE_ROWS, SETTINGS, Row, classifier, origin, rows_of


def network(hidden: int = 2, labels: Sequence[str] = ("a", "b"), first: float = 1.0) -> MLModel:
    """A classifier of two layers: ``first`` ``[hidden, 2]``, all numbers ``first``, and ``last`` ``[labels, hidden]``, with a bias."""
    outputs = len(labels)
    builder = NeuralNetworkBuilder([array_feature("x", (2,))], [array_feature("y", (outputs,))], mode="classifier")
    builder.add_inner_product("first", np.full((hidden, 2), first), None, 2, hidden, False, "x", "h")
    builder.add_inner_product("last", np.ones((outputs, hidden)), np.zeros(outputs), hidden, outputs, True, "h", "z")
    builder.add_softmax("softmax", "z", "y")
    builder.set_class_labels(list(labels))
    builder.make_updatable(["first", "last"])
    builder.set_categorical_cross_entropy_loss("loss", "y")
    builder.set_sgd_optimizer(SgdParams(lr=0.1, batch=8))
    builder.set_epochs(4, allowed_set=range(1, 9))
    return MLModel.from_spec(builder.spec, "network")


def changed(model: MLModel, **weights: Any) -> MLModel:
    """With other weights: ``first_weights=[...]``."""
    contents = {name.replace("_", "."): np.asarray(value, np.float32) for name, value in weights.items()}
    return model._changed(lambda spec: write_contents(spec, contents))


def weights_of(model: MLModel) -> dict[str, list[float]]:
    return {name: np.asarray(value).tolist() for name, value in read_contents(model.spec).items()}


def layer(model: MLModel, name: str, change: Callable[[Any], None]) -> MLModel:
    def write(spec: Any) -> None:
        change(next(each for each in spec.neuralNetworkClassifier.layers if each.name == name))

    return model._changed(write)


def in_float16(message: Any) -> None:
    numbers = np.frombuffer(message.innerProduct.weights.floatValue[0], "<f4")
    message.innerProduct.weights.Clear()
    message.innerProduct.weights.float16Value = numbers.astype("<f2").tobytes()


OLD = network()
PERSONAL = changed(OLD, first_weights=[1.5, 1, 1, 0.5], last_bias=[0.25, -0.25])


@pytest.mark.parametrize(
    ("new", "how", "expected"),
    [
        pytest.param(network(first=3), "difference", {"first.weights": [3.5, 3, 3, 2.5], "last.bias": [0.25, -0.25]}, id="difference"),
        pytest.param(network(first=3), "replace", {"first.weights": [1.5, 1, 1, 0.5], "last.bias": [0.25, -0.25]}, id="replace"),
        pytest.param(
            changed(network(first=3), last_weights=[5, 6, 7, 8]),
            "replace",
            {"first.weights": [1.5, 1, 1, 0.5], "last.weights": [5, 6, 7, 8]},
            id="what was not learned stays the new base's",
        ),
        pytest.param(layer(network(first=3), "first", in_float16), "replace", {"first.weights": [3, 3, 3, 3]}, id="not what did not fit"),
    ],
)
def test_weights_move_by_name(new: MLModel, how: Any, expected: Mapping[str, list[float]]) -> None:
    got = weights_of(rebased(PERSONAL, OLD, new, weights=how).model)
    assert {name: got[name] for name in expected} == expected


def test_on_an_equal_base_it_is_the_same_model_to_the_bit() -> None:
    rng = np.random.default_rng(1)
    personal = changed(OLD, first_weights=rng.normal(size=4), last_weights=rng.normal(size=4))
    result = rebased(personal, OLD, network())
    assert result.model.to_bytes() == personal.to_bytes()
    assert result.report.moved == {"first.weights": "as it was", "last.weights": "as it was"} and result.report.complete


RENAMED = layer(network(), "first", lambda message: setattr(message, "name", "thick"))
QUANTISING = layer(network(), "first", lambda message: setattr(message.innerProduct, "int8DynamicQuantize", True))
ALIEN = layer(OLD, "first", lambda message: setattr(message, "isUpdatable", False))


@pytest.mark.parametrize(
    ("personal", "new", "left"),
    [
        pytest.param(PERSONAL, RENAMED, {"first.weights": "no such layer"}, id="no such layer"),
        pytest.param(PERSONAL, QUANTISING, {"first.weights": "other sizes, settings"}, id="other settings"),
        pytest.param(PERSONAL, network(labels=("a", "b", "c")), {"last.bias": "class labels"}, id="a label more"),
        pytest.param(PERSONAL, network(labels=("b", "a")), {"last.bias": "class labels"}, id="labels in another order"),
        pytest.param(PERSONAL, layer(network(), "first", in_float16), {"first.weights": "stored as float32, and as float16"}, id="type"),
        pytest.param(changed(PERSONAL, first_weights=[np.inf] * 4), network(first=2), {"first.weights": "not finite"}, id="not finite"),
        pytest.param(changed(ALIEN, last_bias=[1, 2]), network(), {"the model itself": "more than weights"}, id="structure"),
    ],
)
def test_what_cannot_be_moved_is_told_and_stays_as_the_new_base_has_it(personal: MLModel, new: MLModel, left: Mapping[str, str]) -> None:
    result = rebased(personal, OLD, new)
    assert result.report.left.keys() == left.keys() and not result.report.complete
    assert all(left[name] in why for name, why in result.report.left.items())
    got, had = weights_of(result.model), weights_of(new)
    assert all(got[name] == had[name] for name in left if name in had)
    assert result.report.moved and all(f"left {name}: " in str(result.report) for name in left)
    assert result.report.as_dict() == {"moved": dict(result.report.moved), "left": dict(result.report.left), "complete": False}


def test_a_model_of_which_nothing_can_be_moved_is_refused() -> None:
    with pytest.raises(MLStoreError, match="expected something that can be moved, got nothing:\nleft first.weights"):
        rebased(changed(OLD, first_weights=[2, 2, 2, 2]), OLD, network(hidden=3))
    with pytest.raises(MLStoreError, match="weights: expected 'difference' or 'replace', got 'add'"):
        rebased(PERSONAL, OLD, OLD, weights=cast(Any, "add"))


def test_parameters_move_where_the_new_base_allows_them() -> None:
    used = {"learningRate": 0.05, "epochs": 80, "numberOfNeighbors": 3, "x": 1}
    result = rebased(PERSONAL, OLD, network(), parameters=used)
    assert result.parameters == {"learningRate": 0.05}
    assert {name: why.split(",")[0] for name, why in result.report.left.items()} == {
        "parameter epochs": "expected one of 1",
        "parameter numberOfNeighbors": "the model does not have it; it has: learningRate",
        "parameter x": "parameter 'x': expected one of learningRate",
    }


A: Row = ("a", 1.0, origin("a"))
B: Row = ("b", 2.0, origin("b"))
N: Row = ("new", 7.0, origin("n"))


@pytest.mark.parametrize(
    ("commits", "new", "expected"),
    [
        pytest.param([[*BASE_ROWS, A]], [N], ["new", "a"], id="those added; the old base's own go with it"),
        pytest.param([[*BASE_ROWS, A]], [A, N], ["a", "new"], id="what the new base has too is there once"),
        pytest.param([[BASE_ROWS[0], A]], [*BASE_ROWS, N], ["old", "new", "a"], id="what was removed stays so"),
        pytest.param([[A], [*BASE_ROWS, A]], BASE_ROWS, ["old", "old", "a"], id="removed and added again"),
        pytest.param([[*BASE_ROWS, A], BASE_ROWS], [A, N], ["new"], id="removed, though only the new base has it"),
        pytest.param([[*BASE_ROWS, A, A]], [A], ["a", "a"], id="equal ones are counted"),
    ],
)
def test_examples_move(commits: list[list[Row]], new: list[Row], expected: list[str]) -> None:
    before, removed = BASE, dict[str, int]()
    for rows in commits:
        removed = removed_since(before, classifier(rows), removed)
        before = classifier(rows)
    result = rebased(before, BASE, classifier(new), removed=removed)
    assert [label for label, _ in rows_of(result.model)] == expected and result.report.complete
    assert removed.items() <= dict(result.removed).items()


def of_numbers(default: Any = "nobody", dimensions: int = 1) -> MLModel:
    settings = {**SETTINGS, "default_class_label": default, "number_of_dimensions": dimensions}
    return MLModel.from_spec(KNearestNeighborsClassifierBuilder(**settings).spec, "other")


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (of_numbers(dimensions=2), "they have 1 numbers each, and 2 in the new base"),
        (of_numbers(default=7), "their labels are stringClassLabels, and int64ClassLabels in the new base"),
        (network(), "the new base does not end in nearest neighbours"),
    ],
)
def test_examples_that_do_not_fit_are_left(new: MLModel, why: str) -> None:
    with pytest.raises(MLStoreError, match=f"left examples: 1 added, 1 removed: {why}"):
        rebased(classifier([A, BASE_ROWS[0]]), BASE, new)


def pipeline(scale: float, rows: Sequence[Row] = (), author: str = "") -> MLModel:
    """The number times ``scale``, then its nearest neighbour."""
    front = NeuralNetworkBuilder([array_feature("x", (1,))], [array_feature("point", (1,))])
    front.add_inner_product("times", np.full((1, 1), scale), None, 1, 1, False, "x", "point")
    front.spec.description.metadata.author = author
    return MLModel.from_spec(make_pipeline("classifier", [front.spec, classifier(rows).spec]), "pipeline")


def test_examples_move_only_behind_an_equal_extractor_unless_it_is_trusted() -> None:
    personal, old = pipeline(1.0, [A]), pipeline(1.0)
    assert rows_of(rebased(personal, old, pipeline(1.0, [N], author="someone else")).model) == [("new", "n"), ("a", "a")]
    with pytest.raises(MLStoreError, match="left examples: .*the models in front of the classifier are others"):
        rebased(personal, old, pipeline(2.0, [N]))
    trusted = rebased(personal, old, pipeline(2.0, [N]), trust_features=True)
    assert rows_of(trusted.model) == [("new", "n"), ("a", "a")] and trusted.report.complete


@pytest.mark.anyio
async def test_the_drawing_classifier_keeps_its_drawings_on_a_base_that_is_described_anew() -> None:
    base = MLModel(shared_model("UpdatableDrawingClassifier.mlmodel"))
    drawing = Image.fromarray(np.eye(28, dtype=np.uint8) * 255)
    personal = (await MLUpdateTask(base, MLArrayBatchProvider([{"drawing": drawing, "label": "line"}]))).model
    new = base._changed(lambda spec: setattr(spec.description.metadata, "versionString", "2"))
    moved = rebased(personal, base, new).model
    assert moved.predict({"drawing": drawing})["label"] == "line" != new.predict({"drawing": drawing})["label"]
    assert moved.description.metadata.version == "2"


def test_a_real_network_moves_by_its_differences() -> None:
    old = MLModel(shared_model("MNIST_Model.mlmodel"))
    rng = np.random.default_rng(2)
    own: dict[str, Array] = {name: np.asarray(value) for name, value in read_contents(old.spec).items()}
    learned, shipped = ({name: (value + rng.normal(0, 0.01, value.shape)).astype(np.float32) for name, value in own.items()} for _ in "12")
    personal, new = (old._changed(writing(contents)) for contents in (learned, shipped))
    result = rebased(personal, old, new)
    assert result.report.complete and len(result.report.moved) == len(own)
    for name, value in read_contents(result.model.spec).items():
        np.testing.assert_allclose(np.asarray(value), learned[name] + (shipped[name] - own[name]), rtol=1e-5, atol=1e-7)


def writing(contents: Mapping[str, Array]) -> Callable[[Any], None]:
    return lambda spec: write_contents(spec, contents)
