"""Layers that make values of a size they are told, draw them, or put them in order: moments, what is refused, what costs nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from tailor.kernels import OPS, Array
from tailor.kernels.bounds import MOST_ELEMENTS
from tests.kernels.cases import CASES
from tests.kernels.cases.case import Message

A = np.array
NORMAL = {"seed": 1, "mean": 0.0, "deviation": 1.0}
TOP = {"axis": -1, "most": 2, "bottom": False}
HOT = {"axis": -1, "length": 3, "on": 1.0, "off": 0.0}
CLASSES = {"seed": 1, "samples": 4, "logits": True, "epsilon": 1e-10, "temperature": 1.0}
FEW, MANY = {"start": 0.0, "step": 1.0}, 1 << 31


@pytest.mark.parametrize(
    ("op", "attributes", "distribution"),
    [
        ("randomNormalStatic", {"mean": 2.0, "deviation": 3.0}, stats.norm(2, 3)),
        ("randomUniformStatic", {"low": -1.0, "high": 4.0}, stats.uniform(-1, 5)),
        ("randomBernoulliStatic", {"probability": 0.3}, stats.bernoulli(0.3)),
    ],
)
def test_moments_are_those_of_the_distribution(op: str, attributes: dict[str, Any], distribution: Any) -> None:
    y = OPS[op].forward(generator=np.random.default_rng(11), seed=11, output_shape=(40, 50, 100), **attributes).astype(float)
    for order in (1, 2, 3, 4):
        moment, double = distribution.moment(order), distribution.moment(2 * order)
        error = np.sqrt((double - moment**2) / y.size)  # one standard deviation of the mean of y ** order
        assert abs((y**order).mean() - moment) < 4 * error


def test_one_generator_gives_other_numbers_the_second_time() -> None:
    generator = np.random.default_rng(0)
    draws = [OPS["randomNormalStatic"].forward(generator=generator, output_shape=(5,), **NORMAL) for _ in range(2)]
    assert not np.array_equal(*draws)


def test_top_k_of_nan_puts_it_last() -> None:
    values, places = OPS["topK"].forward(A([np.nan, 1.0, 2.0]), **{**TOP, "most": 3})
    np.testing.assert_array_equal(values, [2.0, 1.0, np.nan])
    np.testing.assert_array_equal(places, [2.0, 1.0, 0.0])


SHAPES: list[tuple[str, list[tuple[int, ...]], dict[str, Any], str]] = [
    ("fillStatic", [], {"value": 1.0, "target_shape": (10**6, 10**6)}, "at most .* elements, got shape [1000000, 1000000]"),
    ("fillDynamic", [(2, 2)], {"value": 1.0}, "rank 1, got shape [2, 2]"),
    ("randomNormalStatic", [], {**NORMAL, "output_shape": (MANY,)}, "at most .* elements, got shape [2147483648]"),
    ("randomNormalDynamic", [()], NORMAL, "rank 1, got shape []"),
    ("rangeStatic", [], {**FEW, "end": 1e12}, "at most .* elements"),
    ("rangeStatic", [], {"start": 0.0, "end": 3e38, "step": 1e-38}, "at most .* elements"),
    ("rangeStatic", [], {"start": 0.0, "end": 3.0, "step": 0.0}, "a step other than 0, got 0 to 3 by 0"),
    ("rangeDynamic", [(2,)], FEW, "end: expected one number.*got shape [2]"),
    ("rangeDynamic", [(), (1,), (1, 1)], FEW, "step: expected one number.*got shape [1, 1]"),
    ("rangeDynamic", [(1,)] * 4, FEW, "1 to 3 inputs.*got 4"),
    ("categoricalDistribution", [()], CLASSES, "at least 1 axes, got shape []"),
    ("categoricalDistribution", [(2, 0)], CLASSES, "one class or more.*got shape [2, 0]"),
    ("categoricalDistribution", [(2, 3)], {**CLASSES, "samples": MANY}, "at most .* elements"),
    ("topK", [(3, 4)], {**TOP, "most": 5}, "K: expected a number from 1 to 4.*got 5"),
    ("topK", [(3, 4)], {**TOP, "most": 0}, "K: expected a number from 1 to 4.*got 0"),
    ("topK", [(3, 4)], {**TOP, "axis": 2}, "axis from -2 to 1.*got 2"),
    ("topK", [(3, 4), (2,)], TOP, "K: expected one number.*got shape [2]"),
    ("argSort", [(3, 4)], {"axis": 2, "descending": False}, "axis from -2 to 1.*got 2"),
    ("oneHot", [(3, 4)], {**HOT, "axis": 3}, "axis from -3 to 2.*got 3"),
    ("oneHot", [(3, 4)], {**HOT, "length": 0}, "oneHotVectorSize: expected 1 or more, got 0"),
    ("oneHot", [(3, 4)], {**HOT, "length": MANY}, "at most .* elements"),
    ("oneHot", [(3, 4), (2,)], HOT, "oneHotVectorSize: expected one number.*got shape [2]"),
    ("whereNonZero", [()], {}, "at least 1 axes, got shape []"),
    ("matrixBandPart", [(3,)], {"lower": 0, "upper": None}, "at least 2 axes, got shape [3]"),
]

VALUES: list[tuple[str, list[Array], dict[str, Any], str]] = [
    ("fillDynamic", [A([2.0, 2.5])], {"value": 1.0}, "sizes from 0 to .*got 2.5"),
    ("fillDynamic", [A([-1.0])], {"value": 1.0}, "sizes from 0 to .*got -1"),
    ("fillDynamic", [A([np.nan])], {"value": 1.0}, "sizes from 0 to .*got nan"),
    ("fillDynamic", [A([1e6, 1e6])], {"value": 1.0}, "at most .* elements, got shape [1000000, 1000000]"),
    ("randomUniformDynamic", [A([1e12])], {"seed": 1, "low": 0.0, "high": 1.0}, "sizes from 0 to .*got 1e.12"),
    ("rangeDynamic", [A([1e12])], FEW, "at most .* elements"),
    ("rangeDynamic", [A(np.inf)], FEW, "finite ends.*got 0 to inf by 1"),
    ("rangeDynamic", [A(1.0), A(0.0), A(0.0)], FEW, "a step other than 0, got 0 to 1 by 0"),
    ("categoricalDistribution", [A([[0.0, 1.0], [0.0, np.nan]])], CLASSES, "expected logits, got [0.0, nan]"),
    ("categoricalDistribution", [A([-np.inf, -np.inf])], CLASSES, "expected logits, got [-inf, -inf]"),
    ("categoricalDistribution", [A([0.5, -0.5])], {**CLASSES, "logits": False}, "probabilities of 0 or more, got [0.5, -0.5]"),
    ("topK", [A([1.0, 2.0]), A([3.0])], TOP, "K: expected a number from 1 to 2.*got 3"),
    ("topK", [A([1.0, 2.0]), A(1.5)], TOP, "K, a whole number from 1 to .*got 1.5"),
    ("oneHot", [A([0.0, 3.0])], HOT, "indices from 0 to 2, got 3"),
    ("oneHot", [A([0.0, -1.0])], HOT, "indices from 0 to 2, got -1"),
    ("oneHot", [A([0.5])], HOT, "indices from 0 to 2, got 0.5"),
    ("oneHot", [A([0.0]), A([np.nan])], HOT, "oneHotVectorSize, a whole number from 1 to .*got nan"),
]

MESSAGES: list[tuple[str, dict[str, Any], str]] = [
    ("loadConstant", {"shape": [2, 2]}, "shape: expected three sizes, channels, height and width, got [2, 2]"),
    ("loadConstant", {"shape": [1 << 20, 1 << 20, 1]}, "at most .* elements"),
    ("loadConstantND", {"shape": []}, "shape: expected one size or more, got none"),
    ("fillStatic", {"targetShape": []}, "targetShape: expected one size or more, got none"),
    ("randomNormalStatic", {"outputShape": []}, "outputShape: expected one size or more, got none"),
    ("randomNormalLike", {"stdDev": -1.0}, "stdDev: expected 0 or more, got -1"),
    ("randomUniformLike", {"minVal": 2.0}, "minVal: expected no more than maxVal, 1, got 2"),
    ("randomBernoulliLike", {"prob": 1.5}, "prob: expected a number from 0 to 1, got 1.5"),
    ("randomBernoulliLike", {"prob": np.nan}, "prob: expected a number from 0 to 1, got nan"),
    ("categoricalDistribution", {"numSamples": 0}, "numSamples: expected 1 or more, got 0"),
    ("categoricalDistribution", {"temperature": -1.0}, "temperature: expected a positive number, got -1"),
    ("categoricalDistribution", {"eps": -1.0}, "eps: expected 0 or more, got -1"),
    ("argSort", {"axis": -1}, "axis: expected 0 or more, got -1"),
]


def pattern(text: str) -> str:
    return text.replace("[", r"\[").replace("]", r"\]")


def ids(value: object) -> str:
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(("op", "shapes", "attributes", "said"), SHAPES, ids=ids)
def test_shapes_and_sizes_that_do_not_fit(op: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=pattern(said)):
        OPS[op].shape(*shapes, **attributes)


@pytest.mark.parametrize(("op", "inputs", "attributes", "said"), VALUES, ids=ids)
def test_values_that_do_not_fit(op: str, inputs: list[Array], attributes: dict[str, Any], said: str) -> None:
    generator = {"generator": np.random.default_rng(0)} if OPS[op].draws else {}
    OPS[op].shape(*(x.shape for x in inputs), **attributes)  # shapes alone do not tell
    with pytest.raises(ValueError, match=pattern(said)):
        OPS[op].forward(*inputs, **attributes, **generator)


@pytest.mark.parametrize(("op", "changes", "said"), MESSAGES, ids=ids)
def test_messages_that_contradict_the_format(op: str, changes: dict[str, Any], said: str) -> None:
    message = next(case.message for case in CASES if case.op == op)
    OPS[op].read(message, lambda *_: np.zeros(1))  # as it is, it can be read
    with pytest.raises(ValueError, match=pattern(said)):
        OPS[op].read(Message(**{**vars(message), **changes}), lambda *_: np.zeros(1))


def test_sizes_are_looked_at_before_memory_is_taken() -> None:
    assert OPS["fillStatic"].shape(value=0.0, target_shape=(MOST_ELEMENTS,)) == (MOST_ELEMENTS,)
    with pytest.raises(ValueError, match="elements"):
        OPS["oneHot"].forward(np.zeros(1 << 11), A(float(1 << 20)), **HOT)
