"""``tailor.building``: pipelines as coremltools makes them, networks changed, linked models, extractors with a head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tailor.building
from tailor import MLArrayBatchProvider, MLFormatError, MLModel, MLUpdateTask
from tailor.building import (
    AdamParams,
    Batch,
    KNearestNeighborsClassifierBuilder,
    NeuralNetworkBuilder,
    Pipeline,
    PipelineClassifier,
    PipelineRegressor,
    RangeParam,
    SgdParams,
    array_feature,
    attach_neighbors,
    double_feature,
    make_linked_model,
    string_feature,
)
from tailor.runtime.format import Model, encode_weights, model_bytes
from tests.format.models import regressor, small_model
from tests.format.peers import coremltools


def doubling(name: str = "vector", shape: tuple[int, ...] = (2,)) -> Model:
    """From x [2] to twice that."""
    builder = NeuralNetworkBuilder([array_feature("x", (2,))], [array_feature(name, shape)])
    builder.add_inner_product("twice", 2 * np.eye(2), None, 2, 2, False, "x", name)
    return builder.spec


def neighbors() -> KNearestNeighborsClassifierBuilder:
    return KNearestNeighborsClassifierBuilder("vector", "label", 2, "nobody", number_of_neighbors=1)


PIPELINES: dict[str, Callable[[Any, Callable[..., Any]], Any]] = {
    "plain": lambda m, array: m.Pipeline([("x", array(2)), ("n", float)], [("y", array(3)), ("s", str)]),
    "regressor": lambda m, array: m.PipelineRegressor([("x", array(2)), ("i", "Int64")], [("y", float)]),
    "regressor that trains": lambda m, array: m.PipelineRegressor([("x", array(2))], [("y", "Double")], [("x", array(2)), ("t", float)]),
    "classifier": lambda m, array: m.PipelineClassifier([("x", array(2))], ["a", "b"]),
    "classifier, named": lambda m, array: m.PipelineClassifier([("x", array(2))], [1, 2], "label"),
    "classifier, both named": lambda m, array: m.PipelineClassifier([("x", array(2))], ["a", "b"], ["label", "scores"]),
    "classifier that trains": lambda m, array: m.PipelineClassifier([("x", array(2))], ["a"], None, [("x", array(2)), ("classLabel", str)]),
}


@pytest.mark.parametrize("case", PIPELINES)
def test_a_pipeline_is_the_one_that_coremltools_makes(case: str) -> None:
    ct = coremltools()
    ours = PIPELINES[case](tailor.building, lambda *shape: shape)
    theirs = PIPELINES[case](ct.models.pipeline, ct.models.datatypes.Array)
    assert ours.spec.description == Model.FromString(theirs.spec.SerializeToString()).description
    inner = [regressor(), neighbors().spec]
    for spec in inner:
        ours.add_model(spec)
        theirs.add_model(type(theirs.spec).FromString(model_bytes(spec)))
    for made in (ours, theirs):
        made.make_updatable()
        made.set_training_input([("x", float)] if "trains" not in case else [])
    theirs.spec.specificationVersion = 4  # coremltools leaves 1, whatever the models need
    if "trains" in case:
        del theirs.spec.description.trainingInput[:]  # it can only add
    assert ours.spec == Model.FromString(theirs.spec.SerializeToString())


def test_models_of_a_pipeline_may_have_names() -> None:
    made = PipelineClassifier([array_feature("x", (2,))], ["nobody"], ["label", "labelProbs"])
    made.add_model(MLModel.from_spec(doubling()), "front")
    made.add_model(neighbors().spec, "head")
    assert [name for name, _ in MLModel.from_spec(made.spec).models] == ["front", "head"]
    assert MLModel.from_spec(made.spec).predict({"x": [1, 2]})["label"] == "nobody"


def test_neighbours_say_what_was_set() -> None:
    theirs = coremltools().models.nearest_neighbors.KNearestNeighborsClassifierBuilder("vector", "label", 2, "nobody")
    ours = KNearestNeighborsClassifierBuilder("vector", "label", 2, "nobody")
    names = ("number_of_neighbors", "number_of_dimensions", "weighting_scheme", "index_type", "leaf_size", "is_updatable", "author")

    def same() -> None:
        assert {name: getattr(ours, name) for name in names} == {name: getattr(theirs, name) for name in names}
        assert ours.number_of_neighbors_allowed_range() == theirs.number_of_neighbors_allowed_range()
        assert ours.number_of_neighbors_allowed_set() == theirs.number_of_neighbors_allowed_set()
        assert ours.spec == Model.FromString(theirs.spec.SerializeToString())

    same()
    for builder in (ours, theirs):
        builder.author, builder.license, builder.description = "A. Uthor", "MIT", "near things"
        builder.weighting_scheme, builder.is_updatable = "inverse_distance", False
        builder.set_index_type("kd_tree", 7)
        builder.set_number_of_neighbors_with_bounds(3, allowed_set={1, 3})
    same()


def test_parameters_have_ranges_and_sets_as_in_coremltools() -> None:
    ct = coremltools().models.neural_network
    for ours, theirs in ((SgdParams(lr=0.5, batch=4), ct.SgdParams(lr=0.5, batch=4)), (AdamParams(), ct.AdamParams())):
        for params in (ours, theirs):
            params.set_lr(0.25, 0.125, 0.5)
            params.set_batch(2, [2, 4])
        assert (ours.lr, ours.batch.value) == (RangeParam(theirs.lr.value, theirs.lr.min, theirs.lr.max), theirs.batch.value)
        assert list(ours.batch.allowed_set) == theirs.batch.allowed_set == [2, 4]
    assert Batch(3).value == 3


def test_a_network_that_exists_is_made_updatable() -> None:
    given = doubling("y")
    before = given.SerializeToString()
    builder = NeuralNetworkBuilder(spec=MLModel.from_spec(given))
    builder.make_updatable(["twice"])
    builder.set_mean_squared_error_loss("loss", "y")
    builder.set_sgd_optimizer(SgdParams(lr=0.25, batch=1))
    builder.set_epochs(1)
    assert given.SerializeToString() == before
    ct = coremltools()
    theirs = ct.models.neural_network.NeuralNetworkBuilder(spec=ct.proto.Model_pb2.Model.FromString(before))
    theirs.make_updatable(["twice"])
    theirs.set_mean_squared_error_loss("loss", ("y", ct.models.datatypes.Array(2)))
    theirs.set_sgd_optimizer(ct.models.neural_network.SgdParams(lr=0.25, batch=1))
    theirs.set_epochs(1)
    assert builder.spec == Model.FromString(theirs.spec.SerializeToString())


@pytest.mark.anyio
@pytest.mark.parametrize("shape", [(2,), ()])
async def test_an_extractor_with_neighbours_learns(shape: tuple[int, ...]) -> None:
    made = MLModel.from_spec(attach_neighbors(doubling(shape=shape), "label", "nobody", number_of_dimensions=2, number_of_neighbors=1))
    assert (made.model_type, [name for name, _ in made.models]) == ("pipelineClassifier", ["extractor", "neighbors"])
    assert made.predict({"x": [0, 0]})["label"] == "nobody"
    context = await MLUpdateTask(made, MLArrayBatchProvider([{"x": [1, 0], "label": "east"}, {"x": [0, 1], "label": "north"}]))
    assert [answer["label"] for answer in context.model.predict([{"x": [3, 1]}, {"x": [1, 3]}])] == ["east", "north"]
    head = context.model.models[1][1].spec.kNearestNeighborsClassifier.nearestNeighborsIndex
    assert np.frombuffer(b"".join(head.floatSamples[0].vector), "<f4").tolist() == [2, 0]  # what the extractor makes of [1, 0]


def test_a_linked_model_has_the_interface_of_what_it_links_to() -> None:
    made = make_linked_model(doubling(), "Doubling.mlmodel", "models:../shared")
    theirs = coremltools().proto.Model_pb2.Model.FromString(model_bytes(made))
    file = theirs.linkedModel.linkedModelFile
    assert (file.linkedModelFileName.defaultValue, file.linkedModelSearchPath.defaultValue) == ("Doubling.mlmodel", "models:../shared")
    assert (made.description, made.specificationVersion) == (doubling().description, 4)
    assert MLModel.from_spec(attach_neighbors(made, "label", 0)).description.input_descriptions_by_name.keys() == {"x"}


def quantised() -> NeuralNetworkBuilder:
    builder = NeuralNetworkBuilder(spec=doubling())
    encode_weights(builder.nn_spec.layers[0].innerProduct.weights, np.eye(2, dtype=np.float32), "twice")
    builder.nn_spec.layers[0].innerProduct.weights.quantization.numberOfBits = 8
    return builder


ENDED = Pipeline([("x", (2,))], [("y", (2,))])
ENDED.add_model(neighbors().spec)
ENDED.make_updatable()

REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "kind": (lambda: Pipeline([("x", dict)], []), "feature 'x': expected a description, a shape, or one of float, int, str, got .*dict"),
    "no model": (lambda: ENDED.add_model("m.mlmodel"), "all models before it is made updatable"),
    "path": (lambda: Pipeline([], []).add_model("m.mlmodel"), "expected a Model or an MLModel, got str"),
    "half named": (
        lambda: (p := Pipeline([], [])).add_model(regressor()) or p.add_model(regressor(), "b"),
        "for every model or for none, got 'b' for number 1",
    ),
    "nothing to update": (lambda: Pipeline([], []).make_updatable(), "last model to be updatable, and no other, got 0 of 0"),
    "fixed": (lambda: (p := Pipeline([], [])).add_model(regressor()) or p.make_updatable(), "got 0 of 1 that are"),
    "two numbers": (lambda: PipelineRegressor([], [("a", float), ("b", float)]), "one output, a double, got 'a'"),
    "a string": (lambda: PipelineRegressor([], [("a", str)]), r"one output, a double, got 'a' \(stringType\)"),
    "three outputs": (lambda: PipelineClassifier([], ["a"], ["a", "b", "c"]), "expected two outputs, .* got 3"),
    "labels": (lambda: PipelineClassifier([], [1, "a"]), "all strings or all whole numbers"),
    "label type": (
        lambda: PipelineClassifier([], [1], [string_feature("label"), double_feature("p")]),
        "output 'label': expected a int64Type for labels of type int",
    ),
    "not a network": (lambda: NeuralNetworkBuilder(spec=neighbors().spec), "expected the spec of a neural network, got .* kNearest"),
    "spec and more": (lambda: NeuralNetworkBuilder([("x", (1,))], spec=regressor()), "either a spec or what to make one from"),
    "quantised": (lambda: quantised().make_updatable(["twice"]), "layer 'twice': expected floating-point weights"),
    "folder": (lambda: make_linked_model(doubling(), "../Doubling.mlmodel"), "name of a file, without folders"),
    "updatable": (lambda: make_linked_model(neighbors().spec, "N.mlmodel"), "not updatable, got an updatable kNearest"),
    "no array": (lambda: attach_neighbors(neighbors().spec, "l", "a"), "expected one multi-array output, got none"),
    "no such array": (lambda: attach_neighbors(small_model(), "l", "a", feature="z"), "multi-array output 'z', got 'y'"),
    "no size": (lambda: attach_neighbors(doubling(shape=()), "l", "a"), "expected its number of dimensions, got no shape"),
    "another size": (lambda: attach_neighbors(doubling(), "l", "a", number_of_dimensions=3), "got 3 for one of 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(MLFormatError, match=message):
        make()
