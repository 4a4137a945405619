"""Core ML's rules for what is updated: which cases its own validator lets pass and refuses, and tailor's learner beside it.

The cases are those that its validator is documented to tell apart, one change away from a model that is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailor import MLFindingSeverity, MLModel
from tailor.building import array_feature, make_linked_model, make_pipeline
from tailor.runtime.doctor.way import Way
from tailor.runtime.format import LayerRecord
from tests.doctor.models import layer, neighbors, network, pipeline, updatable
from tests.network import blocks
from tests.places import shared_model

Spoil = Callable[[Any], object]
LABELS = ["a", "b", "c"]


def params(spec: Any, name: str) -> Any:
    made = next(one for one in spec.neuralNetwork.layers if one.name == name)
    return getattr(made, made.WhichOneof("layer"))


def update(spec: Any) -> Any:
    return spec.neuralNetwork.updateParams


def sgd(spec: Any) -> Any:
    return update(spec).optimizer.sgdOptimizer


def with_adam(spec: Any, without: str = "") -> None:
    adam = update(spec).optimizer.adamOptimizer
    for name in ("learningRate", "miniBatchSize", "beta1", "beta2", "eps"):
        if name != without:
            getattr(adam, name).defaultValue = 1


def set_values(message: Any, default: float, low: float | None = None, high: float | None = None, values: Any = None) -> None:
    message.Clear()
    message.defaultValue = default
    if values is not None:
        message.set.values.extend(values)
    elif low is not None:
        message.range.minValue, message.range.maxValue = low, high


def trains_with(spec: Any, *features: Any) -> None:
    del spec.description.trainingInput[:]
    spec.description.trainingInput.extend(features)


def features(spec: Any) -> dict[str, Any]:
    return {one.name: one for one in (*spec.description.input, *spec.description.output)}


X, TARGET = array_feature("x", (1, 1, 3, 3)), array_feature("y_true", (1,), "int32")
OTHER = array_feature("other", (1,))

# What is done to a model that is right; Core ML's rules that it breaks then; whether tailor's learner refuses it.
NETWORKS: dict[str, tuple[Spoil, list[str], bool]] = {
    "as it should be": (lambda s: None, [], False),
    "not marked": (lambda s: setattr(s, "isUpdatable", False), ["updatable-model"], True),
    "version 3": (lambda s: setattr(s, "specificationVersion", 3), ["version"], False),
    "no layers marked": (lambda s: [setattr(one, "isUpdatable", False) for one in s.neuralNetwork.layers], ["updatable-layers"], True),
    "another layer marked": (lambda s: setattr(s.neuralNetwork.layers[1], "isUpdatable", True), ["updatable-kind"], True),
    "weights not marked": (lambda s: setattr(params(s, "first").weights, "isUpdatable", False), ["weights-marked"], True),
    "bias not marked": (lambda s: setattr(params(s, "conv").bias, "isUpdatable", False), ["weights-marked"], True),
    "no bias": (lambda s: (setattr(params(s, "first"), "hasBias", False), params(s, "first").ClearField("bias")), [], False),
    "quantised": (lambda s: params(s, "first").weights.quantization.SetInParent(), ["quantised"], True),
    "two of one name": (lambda s: setattr(s.neuralNetwork.layers[1], "name", "conv"), ["names"], True),
    "loss named as a layer": (lambda s: setattr(update(s).lossLayers[0], "name", "conv"), ["names"], True),
    "no loss": (lambda s: update(s).ClearField("lossLayers"), ["loss"], True),
    "a loss of no kind": (
        lambda s: update(s).lossLayers[0].ClearField("categoricalCrossEntropyLossLayer"), ["loss"], True,
    ),
    "no softmax": (
        lambda s: setattr(update(s).lossLayers[0].categoricalCrossEntropyLossLayer, "input", "v5"), ["softmax-before-loss"], True,
    ),
    "layers out of order": (lambda s: s.neuralNetwork.layers.append(s.neuralNetwork.layers.pop(0)), ["order"], False),
    "squares of an input": (
        lambda s: setattr(update(s).lossLayers[0].meanSquaredErrorLossLayer, "input", "x"), ["loss-input", "training-inputs"], True,
    ),
    "target made in the graph": (
        lambda s: setattr(update(s).lossLayers[0].categoricalCrossEntropyLossLayer, "target", "v0"),
        ["loss-target", "training-inputs"], True,
    ),
    "no optimizer": (lambda s: update(s).ClearField("optimizer"), ["optimizer"], True),
    "no learning rate": (lambda s: sgd(s).ClearField("learningRate"), ["optimizer"], True),
    "no batch size": (lambda s: sgd(s).ClearField("miniBatchSize"), ["optimizer"], True),
    "no momentum": (lambda s: sgd(s).ClearField("momentum"), [], False),
    "Adam": (with_adam, [], False),
    "Adam without beta1": (lambda s: with_adam(s, "beta1"), ["optimizer"], True),
    "Adam without beta2": (lambda s: with_adam(s, "beta2"), ["optimizer"], True),
    "Adam without eps": (lambda s: with_adam(s, "eps"), ["optimizer"], True),
    "no epochs": (lambda s: update(s).ClearField("epochs"), ["epochs"], False),
    "epochs of 0": (lambda s: set_values(update(s).epochs, 0), ["parameter-values"], False),
    "epochs not in their set": (lambda s: set_values(update(s).epochs, 3, values=[1, 2]), ["parameter-values"], False),
    "epochs that may be 0": (lambda s: set_values(update(s).epochs, 1, values=[0, 1]), ["parameter-values"], False),
    "batches from 0": (lambda s: set_values(sgd(s).miniBatchSize, 2, 0, 4), ["parameter-values"], False),
    "batches out of range": (lambda s: set_values(sgd(s).miniBatchSize, 8, 1, 4), ["parameter-values"], False),
    "a range from above to below": (lambda s: set_values(sgd(s).miniBatchSize, 2, 4, 1), ["parameter-values"], False),
    "rate out of range": (lambda s: set_values(sgd(s).learningRate, 2, 0, 1), ["parameter-values"], False),
    "seed out of range": (lambda s: set_values(update(s).seed, 7, 0, 5), ["parameter-values"], False),
    "a seed of 0": (lambda s: set_values(update(s).seed, 0, 0, 5), [], False),
    "no training inputs": (lambda s: trains_with(s), ["training-inputs"], True),
    "only an input": (lambda s: trains_with(s, X), ["training-inputs"], True),
    "only the target": (lambda s: trains_with(s, TARGET), ["training-inputs"], True),
    "an input and something": (lambda s: trains_with(s, X, OTHER), ["training-inputs"], True),
    "the target and something": (lambda s: trains_with(s, TARGET, OTHER), ["training-inputs"], True),
    "something more": (lambda s: trains_with(s, X, OTHER, TARGET), [], False),
    "an input of another shape": (
        lambda s: trains_with(s, array_feature("x", (1, 1, 2, 2)), TARGET), ["training-inputs"], False,
    ),
    "five axes with new layers": (lambda s: spoil_mapping(s), ["shape-mapping"], False),
}  # fmt: skip


def spoil_mapping(spec: Any) -> None:
    spec.neuralNetwork.arrayInputShapeMapping = 0
    added = spec.neuralNetwork.layers.add(name="more", input=["y"], output=["z"])
    added.softmaxND.axis = -1


def check(spec: Any, rules: list[str], refused: bool) -> None:
    found = MLModel.from_spec(spec).trainability()
    core_ml = [one.rule for one in found.findings if one.severity is MLFindingSeverity.CORE_ML_REFUSES]
    assert list(dict.fromkeys(core_ml)) == rules, found
    assert found.accepted_by_core_ml == (not rules)
    assert found.accepted_by_tailor == (not refused), found


@pytest.mark.parametrize("case", NETWORKS)
def test_a_network(case: str) -> None:
    spoil, rules, refused = NETWORKS[case]
    spec = updatable()
    spoil(spec)
    check(spec, rules, refused)


# Classifiers may be trained with the label, or with the target of the loss.
CLASSIFIERS: dict[str, tuple[Spoil, list[str], bool]] = {
    "with the label": (lambda s: None, [], False),
    "with the target": (lambda s: trains_with(s, X, TARGET), [], False),
    "with both": (lambda s: trains_with(s, X, TARGET, features(s)["classLabel"]), [], False),
    "with the label alone": (lambda s: trains_with(s, features(s)["classLabel"]), ["training-inputs"], True),
    "with another type of label": (
        lambda s: trains_with(s, X, array_feature("classLabel", (1,))), ["training-inputs"], False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CLASSIFIERS)
def test_a_classifier(case: str) -> None:
    spoil, rules, refused = CLASSIFIERS[case]
    spec = updatable(labels=LABELS)
    spoil(spec)
    check(spec, rules, refused)


# Which layers there are; which of them learn; the rule that is broken; whether tailor refuses it.
WAYS: dict[str, tuple[Any, Any, list[str], bool]] = {
    "leaky ReLU after what learns": (("conv", "leaky", "flat", "first", "tanh", "second", "softmax"), ["conv"], ["gradient"], False),
    "leaky ReLU before what learns": (("conv", "leaky", "flat", "first", "tanh", "second", "softmax"), ["first"], [], False),
    "a softmax that is not the loss's": (
        ("conv", "relu", "flat", "first", ("inner", layer("softmax")), "second", "softmax"), ["first"], ["gradient"], False,
    ),
    "a softmax before what learns": (
        ("conv", "relu", "flat", "first", ("inner", layer("softmax")), "second", "softmax"), ["second"], [], False,
    ),
    "a reshape": (
        ("conv", ("reshape", layer("reshapeStatic", targetShape=[1, 8, 1, 1])), "first", "tanh", "second", "softmax"),
        ["conv"], ["gradient"], False,
    ),
    "no gradient anywhere": (
        ("conv", ("round", layer("round")), "flat", "first", "tanh", "second", "softmax"), ["conv"], ["gradient"], True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WAYS)
def test_the_way_back_from_the_loss(case: str) -> None:
    steps, learn, rules, refused = WAYS[case]
    check(updatable(steps, learn), rules, refused)


def test_the_validator_goes_breadth_first_and_minds_no_ways() -> None:
    """It refuses a layer that learns on one way for a leaky ReLU on another, if that is nearer to the loss."""

    def record(name: str, kind: str, inputs: tuple[str, ...], updatable: bool = False) -> LayerRecord:
        return LayerRecord(name, kind, inputs, (name,), None, updatable)

    records = [
        record("dense", "innerProduct", ("x",), True),
        record("flat", "flatten", ("dense",)),
        record("leaky", "activation.leakyReLU", ("x",)),
        record("lstm", "uniDirectionalLSTM", ("flat", "leaky", "leaky")),
    ]
    way = Way(records, "lstm", exempt=False)
    assert (way.refused(), way.between(0)) == ((2, 0), [])
    assert Way([*records[:2], record("end", "pooling", ("flat",))], "end", exempt=False).refused() is None


def test_a_layer_knows_what_is_between_the_loss_and_it() -> None:
    spec = updatable(("conv", "leaky", ("round", layer("round")), "flat", "first", "tanh", "second", "softmax"), ["second"])
    found = MLModel.from_spec(spec).trainability()
    assert found.accepted_by_core_ml and found.accepted_by_tailor
    told = {one.name: (one.marked, one.parameters, one.between, bool(one.core_ml), bool(one.tailor)) for one in found.layers}
    assert told == {
        "conv": (False, 2 * 4 + 2, ("'leaky' (activation.leakyReLU)", "'round' (round)"), True, True),
        "first": (False, 4 * 8 + 4, (), False, False),
        "second": (True, 3 * 4 + 3, (), False, False),
    }


def message(spec: Any) -> Any:
    return spec.kNearestNeighborsClassifier


NEIGHBORS: dict[str, tuple[Spoil, list[str]]] = {
    "as it should be": (lambda s: None, []),
    "no neighbours": (lambda s: set_values(message(s).numberOfNeighbors, 0), ["parameter-values"]),
    "neighbours out of range": (lambda s: set_values(message(s).numberOfNeighbors, 5, 1, 4), ["parameter-values"]),
    "neighbours not in the set": (lambda s: set_values(message(s).numberOfNeighbors, 5, values=[1]), ["parameter-values"]),
    "no weighting": (lambda s: message(s).ClearField("uniformWeighting"), ["neighbors-weighting"]),
    "no index": (lambda s: message(s).nearestNeighborsIndex.ClearField("linearIndex"), ["neighbors-index"]),
    "a tree without leaves": (lambda s: message(s).nearestNeighborsIndex.singleKdTreeIndex.SetInParent(), ["neighbors-index"]),
    "no distance": (lambda s: message(s).nearestNeighborsIndex.ClearField("squaredEuclideanDistance"), ["neighbors-distance"]),
    "a label too many": (lambda s: message(s).stringClassLabels.vector.append("c"), ["neighbors-labels"]),
    "a default of another type": (lambda s: setattr(message(s), "defaultInt64Label", 1), ["neighbors-labels"]),
    "other dimensions": (lambda s: setattr(message(s).nearestNeighborsIndex, "numberOfDimensions", 3), ["neighbors-samples"]),
    "version 3": (lambda s: setattr(s, "specificationVersion", 3), ["version"]),
}


@pytest.mark.parametrize("case", NEIGHBORS)
def test_nearest_neighbours(case: str) -> None:
    spoil, rules = NEIGHBORS[case]
    spec = neighbors()
    spoil(spec)
    found = MLModel.from_spec(spec).trainability()
    assert [one.rule for one in found.findings if one.severity is MLFindingSeverity.CORE_ML_REFUSES] == rules


def test_an_empty_index_needs_a_default_label() -> None:
    spec = neighbors(0)
    assert MLModel.from_spec(spec).trainability().findings == ()
    message(spec).ClearField("defaultStringLabel")
    assert [one.rule for one in MLModel.from_spec(spec).trainability().findings] == ["neighbors-labels"]


def models(spec: Any) -> Any:
    return spec.pipelineClassifier.pipeline.models


PIPELINES: dict[str, tuple[Spoil, list[str], bool]] = {
    "as it should be": (lambda s: None, [], False),
    "not marked": (lambda s: setattr(s, "isUpdatable", False), ["updatable-model", "pipeline"], True),
    "its last not marked": (lambda s: setattr(models(s)[-1], "isUpdatable", False), ["pipeline"], True),
    "its first marked, too": (lambda s: setattr(models(s)[0], "isUpdatable", True), ["pipeline"], False),
    "its last of version 3": (lambda s: setattr(models(s)[-1], "specificationVersion", 3), ["version"], False),
    "trains without labels": (lambda s: trains_with(s, array_feature("x", (2,))), ["pipeline"], False),
    "none marked": (
        lambda s: (setattr(s, "isUpdatable", False), setattr(models(s)[-1], "isUpdatable", False)),
        ["updatable-model", "pipeline"], True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PIPELINES)
def test_a_pipeline(case: str) -> None:
    spoil, rules, refused = PIPELINES[case]
    spec = pipeline()
    spoil(spec)
    check(spec, rules, refused)
    assert MLModel.from_spec(spec).trainability().learner == "model1"


def test_a_pipeline_in_a_pipeline_tells_of_the_innermost() -> None:
    inner = pipeline()
    message(models(inner)[-1]).ClearField("uniformWeighting")
    found = MLModel.from_spec(make_pipeline("classifier", [inner], ["outer"])).trainability()
    assert found.learner == "outer.model1"
    assert [(one.rule, one.where) for one in found.findings] == [
        ("neighbors-weighting", "model 'outer': model 'model1': kNearestNeighborsClassifier")
    ]


def test_types_that_never_learn_say_so() -> None:
    plain = network(("conv",), (1, 2, 2, 2)).spec
    linked = make_linked_model(plain, "There.mlmodel")
    found = MLModel.from_spec(linked).trainability()
    assert [one.rule for one in found.findings] == ["model-type", "updatable-model"]
    assert "linked model, which is never updatable" in found.findings[0].got and found.layers == ()


def test_notes_are_no_refusals() -> None:
    spec = updatable(learn=["first", "second"])
    weights = params(spec, "first").weights
    weights.float16Value = bytes(2 * 32)
    weights.ClearField("floatValue")
    apart = spec.neuralNetwork.layers.add(name="apart", input=["v0"], output=["unused"])
    apart.CopyFrom(next(one for one in spec.neuralNetwork.layers if one.name == "second"))
    apart.name, apart.output[0] = "apart", "unused"
    found = MLModel.from_spec(spec).trainability()
    assert {one.rule for one in found.findings} == {"float16", "unreached"} and found.accepted_by_core_ml
    assert "first' weights: expected float32" in str(found)


def test_softmax_needs_three_axes() -> None:
    builder = network((("in", layer("reshapeStatic", targetShape=[1, 9])), "softmax"), (1, 9))
    found = MLModel.from_spec(builder.spec).trainability()
    (rank,) = [one for one in found.findings if one.rule == "rank"]
    assert rank.where == "layer 'softmax'" and rank.got == "shape [1, 9]"


def test_what_blocks_make_is_there_for_layers_behind_them() -> None:
    spec = blocks.network(inputs="x c", outputs="z")
    branch = blocks.put(spec.neuralNetwork, "branch(c)").branch
    blocks.put(branch.ifBranch, "y = relu(x)")
    blocks.put(branch.elseBranch, "y = add(x 1)")
    blocks.put(spec.neuralNetwork, "z = add(y 2)")
    rules = [one.rule for one in MLModel.from_spec(spec).trainability().findings]
    assert "order" not in rules and "updatable-layers" in rules
    spec.neuralNetwork.layers.append(spec.neuralNetwork.layers.pop(0))
    assert "order" in [one.rule for one in MLModel.from_spec(spec).trainability().findings]


REAL = {
    "UpdatableDrawingClassifier.mlmodel": (True, True),
    "MNIST_Model.mlmodel": (True, True),
    "HousePrices_updatable.mlmodel": (True, True),
    "UpdatableKNN_kdtree.mlmodel": (True, True),
    "MNIST_classifier.mlmodel": (False, False),
    "TinyDrawingEmbedding.mlmodel": (False, False),
    "NamesDT.mlmodel": (False, False),
    "BostonGLM.mlmodel": (False, False),
    "CustomSwishLayer.mlmodel": (False, False),
    "Waifu2xUpscale.mlmodel": (False, False),
    "BasicPitch.mlpackage": (False, False),
}


@pytest.mark.parametrize("name", REAL)
def test_real_models(name: str) -> None:
    found = MLModel(shared_model(name)).trainability()
    assert (found.accepted_by_core_ml, found.accepted_by_tailor) == REAL[name], found
    assert str(found).startswith(f"{name} ({found.kind}): ")


def test_the_page_explains_every_rule() -> None:
    root = Path(__file__).resolve().parents[2]
    sources = "".join(path.read_text(encoding="utf-8") for path in (root / "tailor" / "runtime" / "doctor").glob("*.py"))
    rules = {*re.findall(r'MLFinding\(\s*"([a-z0-9-]+)"', sources), *re.findall(r'^RULE = "([a-z-]+)"', sources, re.MULTILINE)}
    rules |= {"parameter-values"}
    page = (root / "docs" / "doctor.md").read_text(encoding="utf-8")
    assert len(rules) > 20
    assert [rule for rule in sorted(rules) if f"`{rule}`" not in page] == []
