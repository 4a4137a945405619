"""Networks that were trained apart, merged by a policy: against averages worked out in NumPy, and what cannot be merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tailor import MLArrayBatchProvider, MLModel, MLModelConfiguration, MLParameterKey, MLStoreError, MLUpdateGuard, MLUpdateTask
from tailor.kernels import Array
from tailor.persistence import Metadata, Version
from tailor.runtime.format import read_contents, write_contents
from tailor.runtime.store.merging import MergeSide, examples_since, merged
from tests.places import shared_model
from tests.tasks.models import regression_data, regression_model, regression_provider

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANCESTOR = regression_model()


def with_weights(model: MLModel, weights: Mapping[str, object]) -> MLModel:
    arrays: dict[str, Any] = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    return model._changed(lambda spec: write_contents(spec, arrays))


def half(model: MLModel) -> MLModel:
    """The same with its weights stored as float16."""

    def write(spec: Any) -> None:
        dense = spec.neuralNetwork.layers[0].innerProduct
        dense.weights.Clear()
        dense.weights.float16Value = np.array([1.0, 2.0], "<f2").tobytes()

    return model._changed(write)


def quantised(model: MLModel, *numbers: int) -> MLModel:
    """The same with its weights stored in 8 bits each."""

    def write(spec: Any) -> None:
        weights = spec.neuralNetwork.layers[0].innerProduct.weights
        weights.Clear()
        weights.rawValue = bytes(numbers)
        weights.quantization.numberOfBits = 8
        weights.quantization.linearQuantization.scale.append(np.float32(0.5).tobytes())

    return model._changed(write)


def side(name: str, model: MLModel, examples: int | None = None, later: int = 0) -> MergeSide:
    return MergeSide(name * 64, NOW + timedelta(seconds=later), model, examples)


def weights_of(model: MLModel) -> dict[str, Array]:
    return {name: np.asarray(value) for name, value in read_contents(model.spec).items()}


ONE = with_weights(ANCESTOR, {"dense.weights": [1.0, -2.0], "dense.bias": [0.25]})
TWO = with_weights(ANCESTOR, {"dense.weights": [5.0, 0.1], "dense.bias": [0.25]})


@pytest.mark.parametrize(
    ("examples", "shares"),
    [
        ((1, 3), (0.25, 0.75)),
        ((30, 10), (0.75, 0.25)),
        ((0, 7), (0.0, 1.0)),
        ((0, 0), (0.5, 0.5)),
        ((3, None), (0.5, 0.5)),
    ],
)
def test_an_average_is_the_ancestor_and_the_changes_by_examples_seen(
    examples: tuple[int | None, int | None], shares: tuple[float, float]
) -> None:
    result = merged(ANCESTOR, [side("1", ONE, examples[0]), side("2", TWO, examples[1])], ancestor=("0" * 64, None))
    before, one, two = (weights_of(model)["dense.weights"].astype(np.float64) for model in (ANCESTOR, ONE, TWO))
    expected = before + shares[0] * (one - before) + shares[1] * (two - before)
    np.testing.assert_allclose(weights_of(result.model)["dense.weights"], expected, rtol=1e-7)
    assert weights_of(result.model)["dense.bias"].tolist() == [0.25], "what is equal stays as it is, to the bit"
    assert result.metadata["merge"] == {
        "parents": ["1" * 64, "2" * 64],
        "policy": "average",
        "ancestor": "0" * 64,
        "examples": {"1" * 64: examples[0], "2" * 64: examples[1]},
        "weights": {"1" * 64: shares[0], "2" * 64: shares[1]},
    }


@pytest.mark.parametrize("policy", ["average", "latest", lambda ancestor, sides, examples: sides[1]])
def test_the_order_in_which_sides_are_given_changes_no_bit(policy: Any) -> None:
    rng = np.random.default_rng(5)
    sides = [side(name, with_weights(ANCESTOR, {"dense.weights": rng.normal(size=2)}), int(name) * 7) for name in "123"]
    results = [merged(ANCESTOR, some, policy=policy, ancestor=("0" * 64, ANCESTOR)) for some in (sides, sides[::-1], sides[1:] + sides[:1])]
    assert len({(result.model.to_bytes(), str(result.metadata)) for result in results}) == 1


@pytest.mark.parametrize(("later", "chosen"), [((0, 1), "2"), ((1, 0), "1"), ((0, 0), "2")])
def test_the_latest_is_by_time_then_by_identifier(later: tuple[int, int], chosen: str) -> None:
    result = merged(ANCESTOR, [side("1", ONE, later=later[0]), side("2", TWO, later=later[1])], policy="latest")
    assert result.model.to_bytes() == {"1": ONE, "2": TWO}[chosen].to_bytes()
    assert result.metadata["merge"] == {"parents": ["1" * 64, "2" * 64], "policy": "latest", "chosen": chosen * 64}


def largest(ancestor: Mapping[str, Array], sides: Sequence[Mapping[str, Array]], examples: Sequence[int | None]) -> dict[str, Array]:
    """Whichever moved farther from the ancestor, number by number; only of weights."""
    moves = np.stack([each["dense.weights"] - ancestor["dense.weights"] for each in sides])
    farthest = np.take_along_axis(moves, np.abs(moves).argmax(axis=0)[None], 0)[0]
    return {"dense.weights": ancestor["dense.weights"] + farthest * (1 if list(examples) == [2, 4] else np.nan)}


def test_a_function_gets_the_ancestor_the_sides_and_what_they_have_seen() -> None:
    ancestor = with_weights(ANCESTOR, {"dense.weights": [1.0, 0.0], "dense.bias": [7.0]})
    result = merged(ANCESTOR, [side("1", ONE, 2), side("2", TWO, 4)], policy=largest, ancestor=("0" * 64, ancestor))
    assert weights_of(result.model)["dense.weights"].tolist() == [5.0, -2.0]
    assert weights_of(result.model)["dense.bias"].tolist() == [7.0], "what it does not return stays as in the ancestor"
    told = result.metadata["merge"]
    assert isinstance(told, Mapping) and (told["policy"], told["function"]) == ("function", "tests.store.test_merge_networks.largest")


def failing(ancestor: Any, sides: Any, examples: Any) -> Any:
    raise ZeroDivisionError("mine")


OTHER_SHAPE = MLModel.from_spec(ANCESTOR._changed(lambda spec: setattr(spec.neuralNetwork.layers[0], "name", "thick")).spec)
RENAMED_INPUT = ANCESTOR._changed(lambda spec: setattr(spec.description.metadata, "author", "someone"))
NOT_FINITE = with_weights(ANCESTOR, {"dense.weights": [np.nan, 0.0]})


@pytest.mark.parametrize(
    ("sides", "policy", "said"),
    [
        pytest.param((ONE, TWO), "mean", "policy: expected 'average', 'latest', 'branches' or a function, got 'mean'", id="policy"),
        pytest.param((ONE, TWO), "branches", "expected a policy that merges, got 'branches'", id="branches"),
        pytest.param((ONE, OTHER_SHAPE), "average", "expected models of the same layers: content 'dense.weights'", id="layers"),
        pytest.param((ONE, RENAMED_INPUT), "average", "differ in more", id="more than weights"),
        pytest.param((ONE, half(ANCESTOR)), "average", "differ in more", id="storage"),
        pytest.param((ONE, NOT_FINITE), "average", "dense.weights: expected finite weights", id="not finite"),
        pytest.param(
            (quantised(ONE, 1, 2), quantised(ONE, 1, 3)), "average", "got quantised ones; choose the policy 'latest'", id="quantised"
        ),
        pytest.param((ONE, TWO), failing, "the merge function failed: ZeroDivisionError: mine", id="fails"),
        pytest.param((ONE, TWO), lambda *_: None, "expected a mapping of weights from the merge function, got NoneType", id="no mapping"),
        pytest.param((ONE, TWO), lambda *_: {"x": [1.0]}, "expected the merge function to return weights of the model, got 'x'", id="name"),
        pytest.param((ONE, TWO), lambda *_: {"dense.bias": [1.0, 2.0]}, "expected 1 finite numbers that fit float32, got 2", id="size"),
        pytest.param((ONE, TWO), lambda *_: {"dense.bias": [1e39]}, "not all finite", id="too large"),
        pytest.param((ONE, TWO), lambda *_: {"dense.bias": ["a"]}, "could not convert", id="no numbers"),
    ],
)
def test_what_cannot_be_merged_says_why(sides: tuple[MLModel, MLModel], policy: Any, said: str) -> None:
    with pytest.raises(MLStoreError, match=said):
        merged(ANCESTOR, [side("1", sides[0]), side("2", sides[1])], policy=policy, ancestor=("0" * 64, ANCESTOR))


def test_a_function_needs_the_ancestor_itself() -> None:
    with pytest.raises(MLStoreError, match="expected the model of the common ancestor"):
        merged(ANCESTOR, [side("1", ONE), side("2", TWO)], policy=largest, ancestor=("0" * 64, None))


def test_float16_weights_are_averaged_in_float64_and_rounded_once() -> None:
    one, two = (half(ANCESTOR)._changed(writing(np.array(value, "<f2"))) for value in ([1.0, 60000.0], [1.001, 65504.0]))
    got = weights_of(merged(ANCESTOR, [side("1", one, 1), side("2", two, 3)]).model)["dense.weights"]
    wide = np.array([[1.0, 60000.0], np.array([1.001, 65504.0], np.float16)], np.float64)
    assert got.dtype == np.float16 and got.tolist() == (wide[0] / 4 + wide[1] * 3 / 4).astype(np.float16).tolist()


def writing(weights: Array) -> Callable[[Any], None]:
    return lambda spec: write_contents(spec, {"dense.weights": weights})


def test_quantised_weights_that_are_equal_stay_and_the_others_are_averaged() -> None:
    one, two = (quantised(with_weights(ANCESTOR, {"dense.bias": [bias]}), 1, 2) for bias in (1.0, 2.0))
    got = weights_of(merged(ANCESTOR, [side("1", one), side("2", two)]).model)
    assert got["dense.weights"].tobytes() == b"\x01\x02" and got["dense.bias"].tolist() == [1.5]


# y = 2 x0 - x1 + 0.5 is what the reference examples follow.
RIGHT = with_weights(ANCESTOR, {"dense.weights": [2.0, -1.0], "dense.bias": [0.5]})
NEAR = with_weights(ANCESTOR, {"dense.weights": [2.2, -1.0], "dense.bias": [0.5]})
BELOW = with_weights(ANCESTOR, {"dense.weights": [1.8, -1.0], "dense.bias": [0.5]})


@pytest.mark.parametrize(("sides", "accepted"), [((NEAR, BELOW), True), ((NEAR, RIGHT), False)])
def test_a_merge_is_judged_against_the_better_side(sides: tuple[MLModel, MLModel], accepted: bool) -> None:
    guard = MLUpdateGuard(hold_out=None, reference=regression_provider(20))
    result = merged(ANCESTOR, [side("1", sides[0]), side("2", sides[1])], guard=guard)
    assert result.accepted is accepted
    assert result.verdict is not None and result.metadata["guard"] == result.verdict.as_dict()
    scores = result.verdict.sets["reference"]
    losses = [loss_of(model) for model in (*sides, result.model)]
    assert (scores.count, result.verdict.trained) == (20, 0)
    assert scores.before["loss"] == pytest.approx(min(losses[:2]), rel=1e-5, abs=1e-12)
    assert scores.after["loss"] == pytest.approx(losses[2], rel=1e-5, abs=1e-12)


def loss_of(model: MLModel) -> float:
    """The mean squared error, by hand."""
    (x, y), weights = regression_data(20), weights_of(model)
    made = x.astype(np.float64) @ weights["dense.weights"].astype(np.float64) + weights["dense.bias"]
    return float(np.mean((made - y[:, 0]) ** 2))


@pytest.mark.parametrize("guard", [MLUpdateGuard(), "strict"])
def test_a_guard_without_a_reference_set_cannot_judge(guard: Any) -> None:
    with pytest.raises(MLStoreError, match="expected an MLUpdateGuard with a reference set"):
        merged(ANCESTOR, [side("1", ONE), side("2", TWO)], guard=guard)


def version(*parents: str, **extra: Any) -> Version:
    return Version(Metadata(NOW, extra=extra), "0" * 64, tuple(name * 64 for name in parents))


def test_examples_are_counted_since_what_all_sides_share() -> None:
    past = {
        "a": version(examples=100),
        "b": version("a", examples=10),
        "c": version("a", examples=7),
        "d": version("b", "c", merge={}),
        "e": version("d", examples=1),
        "f": version("c", examples=2),
        "g": version("e"),
    }

    def history(*names: str) -> list[tuple[str, Version]]:
        return [(name * 64, past[name]) for name in names]

    assert examples_since([history(*"baa"), history(*"ca")]) == [10, 7]
    assert examples_since([history(*"edbca"), history(*"fca")]) == [11, 2]
    assert examples_since([history(*"gedbca"), history(*"fca")]) == [None, 2]


@pytest.mark.anyio
async def test_an_update_tells_how_many_examples_it_has_learned_from() -> None:
    configuration = MLModelConfiguration(parameters={MLParameterKey.EPOCHS: 3})
    context = await MLUpdateTask(regression_model(), regression_provider(10), configuration)
    assert context.examples_learned == 30
    guard = MLUpdateGuard(0.2, margin=1.0)
    held_out = await MLUpdateTask(regression_model(), regression_provider(10), configuration, guard=guard)
    assert held_out.verdict is not None and held_out.verdict.accepted and held_out.examples_learned == 24
    refused = MLUpdateGuard(hold_out=None, reference=MLArrayBatchProvider([{"x": [1.0, 1.0], "y_true": [-50.0]}]))
    assert (await MLUpdateTask(regression_model(), regression_provider(10), configuration, guard=refused)).examples_learned == 0


def test_a_real_network_averages_as_numpy_does() -> None:
    base = MLModel(shared_model("MNIST_Model.mlmodel"))
    rng, before = np.random.default_rng(3), weights_of(MLModel(shared_model("MNIST_Model.mlmodel")))
    sides = []
    for name, count in (("1", 64), ("2", 32)):
        noisy = {key: value + rng.normal(0, 0.1, value.shape).astype(np.float32) for key, value in before.items()}
        sides.append((side(name, with_weights(base, noisy), count), noisy))
    got = weights_of(merged(base, [each for each, _ in sides]).model)
    for key, value in before.items():
        wide = value.astype(np.float64)
        expected = wide + (64 * (sides[0][1][key] - wide) + 32 * (sides[1][1][key] - wide)) / 96
        np.testing.assert_allclose(got[key], expected, rtol=2e-7, atol=1e-9)
