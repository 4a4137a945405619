"""What a loss is about where there is a choice, and that a model that was repaired is left as it is by repairing it again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tailor import MLModel, MLParameterKey, MLUpdateError
from tailor.building import array_feature
from tests.doctor.models import X, layer, logits_by_hand, neighbors, network, softmax_by_hand

FIRST = ("conv", "relu", ("reshape", layer("reshapeStatic", targetShape=[1, 8])), "first", "tanh")
LOGITS = (*FIRST, "second")
SOFTMAX_ND = ("softmaxND", layer("softmaxND", axis=-1))


def two_outputs() -> Any:
    """Logits ``y`` and their softmax ``z``."""
    builder = network(LOGITS)
    builder.spec.description.output.append(array_feature("z", (1, 3)))
    builder.nn_spec.layers.add(name="softmaxND", input=["y"], output=["z"]).softmaxND.axis = -1
    return builder.spec


def watched_classifier() -> Any:
    """A classifier whose probabilities are another output's numbers too: ``double``, added to themselves."""
    builder = network((*LOGITS, SOFTMAX_ND), labels=["a", "b", "c"])
    builder.spec.description.output.append(array_feature("double", (1, 3)))
    builder.nn_spec.layers.add(name="double", input=["y", "y"], output=["double"]).add.SetInParent()
    return builder.spec


ASKED: dict[str, dict[str, Any]] = {
    "probabilities among several outputs": {"output": "z"},
    "logits among several outputs": {"output": "y", "loss": "categorical_cross_entropy"},
    "squares": {"output": "y"},
    "an optimizer by name": {"output": "z", "optimizer": "adam"},
    "parameters": {"output": "z", "parameters": {MLParameterKey.LEARNING_RATE: 0.5, MLParameterKey.EPOCHS: 7}},
}


@pytest.mark.parametrize("case", ASKED)
def test_repairing_again_changes_nothing(case: str) -> None:
    model, report = MLModel.from_spec(two_outputs()).repaired(**ASKED[case])
    assert report.repairs and report.after.findings == ()
    again, report = model.repaired(**ASKED[case])
    assert report.repairs == () and again.to_bytes() == model.to_bytes()


def test_a_softmax_is_seen_through_a_reshape() -> None:
    """It gets no second softmax, and the loss is no squared error of probabilities."""
    before = MLModel.from_spec(network((*LOGITS, SOFTMAX_ND, ("lift", layer("expandDims", axes=[0]))), (1, 1, 3)).spec)
    assert before.trainability().loss == "none; 'v6' suggests categorical cross entropy of 'v6'"
    for options in ({}, {"loss": "categorical_cross_entropy"}):
        model, report = before.repaired(**options)
        assert report.after.findings == () and [one.kind for one in model.layers].count("softmax") == 1
        assert report.after.loss.startswith("categorical cross entropy of")
        made = [one["y"] for one in model.predict([{"x": x} for x in X])]
        np.testing.assert_allclose(np.array(made).reshape(len(X), 3), softmax_by_hand(logits_by_hand(X)), rtol=1e-4, atol=1e-5)
        assert made[0].shape == (1, 1, 3)


def test_a_classifier_learns_its_labels_whatever_else_it_answers() -> None:
    before = MLModel.from_spec(watched_classifier())
    model, report = before.repaired()
    assert report.after.findings == () and "'double'" not in report.after.loss
    by_hand = softmax_by_hand(logits_by_hand(X))
    for made, expected in zip(model.predict([{"x": x} for x in X]), by_hand, strict=True):
        np.testing.assert_allclose(made["double"], 2 * expected[None], rtol=1e-4, atol=1e-5)
        assert made["classLabel"] == "abc"[expected.argmax()]
    with pytest.raises(MLUpdateError, match=r"expected one of the outputs for the loss to be about \('y'\), got 'double'"):
        before.repaired(output="double")


def test_a_layer_behind_a_branch_is_made_to_learn_here() -> None:
    """What a branch makes cannot be moved to channels, so the logits behind it are; Core ML's gradients do not pass that."""
    builder = network((*FIRST, "same", "second", SOFTMAX_ND))
    branched = next(one for one in builder.nn_spec.layers if one.name == "same")
    made = branched.output[0]
    branched.Clear()
    branched.name = "choice"
    builder.spec.description.input.append(array_feature("c", (1,)))
    branched.input.append("c")
    for block, kind in ((branched.branch.ifBranch, "ReLU"), (branched.branch.elseBranch, "tanh")):
        getattr(block.layers.add(name=kind, input=["v4"], output=[made]).activation, kind).SetInParent()
    before = MLModel.from_spec(builder.spec)
    model, report = before.repaired(trainable=["second"])
    assert report.after.accepted_by_tailor and [one.rule for one in report.after.findings] == ["gradient"]
    for choice in (0.0, 1.0):
        given = [{"x": x, "c": [choice]} for x in X]
        for one, other in zip(model.predict(given), before.predict(given), strict=True):
            np.testing.assert_allclose(one["y"], other["y"], rtol=1e-5, atol=1e-6)


def test_repairing_neighbours_again_changes_nothing() -> None:
    asked = {MLParameterKey.NUMBER_OF_NEIGHBORS: 2}
    model, report = MLModel.from_spec(neighbors()).repaired(parameters=asked)
    assert [one.layers for one in report.repairs] == [("numberOfNeighbors",)]
    again, report = model.repaired(parameters=asked)
    assert report.repairs == () and again.to_bytes() == model.to_bytes()


@pytest.mark.parametrize("wrong", [[], (), "first", 5, (name for name in ("first",))])
def test_layers_are_asked_for_by_a_list(wrong: Any) -> None:
    with pytest.raises(MLUpdateError, match="trainable: expected a list of names of layers, got"):
        MLModel.from_spec(two_outputs()).repaired(output="z", trainable=wrong)


def test_a_layer_that_is_named_twice_is_told_of_once() -> None:
    _, report = MLModel.from_spec(two_outputs()).repaired(output="z", trainable=["second", "second"])
    assert [one.layers for one in report.repairs if one.name == "marked as updatable"] == [("second",)]


def test_parameters_are_given_by_key() -> None:
    with pytest.raises(MLUpdateError, match=r"parameters: expected values by MLParameterKey, got \['epochs'\]"):
        MLModel.from_spec(two_outputs()).repaired(output="z", parameters=["epochs"])  # type: ignore[arg-type]
