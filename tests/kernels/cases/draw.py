from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from tailor.kernels import Array

from .case import Case, Drawn, Message, numbers

SHAPE = (2, 30, 50)


def spread(distribution: Any) -> Callable[[Array], float]:
    """How likely numbers are under a continuous distribution of SciPy's."""

    def p_value(y: Array) -> float:
        low, high = distribution.support()
        inside = bool((y >= low).all() and (y <= high).all())
        return float(stats.kstest(y.ravel().astype(float), distribution.cdf).pvalue) * inside

    return p_value


def counted(probabilities: Array) -> Callable[[Array], float]:
    """How likely counts of 0, 1 ... are, in the row of ``y`` that fits worst; a row of probabilities each, of which some may be 0."""

    def p_value(y: Array) -> float:
        rows = y.reshape(len(probabilities), -1)
        worst = 1.0
        for row, chances in zip(rows, probabilities, strict=True):
            counts = np.array([(row == place).sum() for place in range(len(chances))])
            if counts.sum() < row.size or counts[chances == 0].any():
                return 0.0
            some = chances > 0
            if some.sum() > 1:
                worst = min(worst, float(stats.chisquare(counts[some], chances[some] * row.size).pvalue))
        return worst

    return p_value


def three(
    name: str,
    fields: dict[str, float],
    attributes: dict[str, float],
    p_value: Callable[[Array], float],
    note: str = "",
    varies: bool = True,
) -> tuple[Case, ...]:
    drawn = Drawn(SHAPE, p_value, varies)
    seeded = {"seed": 42, **attributes}
    message = Message(seed=42, **fields)
    return (
        Case(f"{name}Like", (numbers(*SHAPE),), drawn, message, seeded, note=note),
        Case(f"{name}Static", (), drawn, Message(seed=42, outputShape=list(SHAPE), **fields), {"output_shape": SHAPE, **seeded}, note=note),
        Case(f"{name}Dynamic", (np.array(SHAPE, float),), drawn, message, seeded, note=note),
    )


def classes(
    note: str, x: Array, chances: Array, logits: bool, temperature: float = 1.0, epsilon: float = 1e-10, samples: int = 3000
) -> Case:
    message = Message(seed=-1, numSamples=samples, isLogits=logits, eps=epsilon, temperature=temperature)
    attributes = {"seed": -1, "samples": samples, "logits": logits, "epsilon": epsilon or 1e-10, "temperature": temperature or 1.0}
    drawn = Drawn((*x.shape[:-1], samples), counted(chances), varies=bool((chances < 1).all()))
    return Case("categoricalDistribution", (x,), drawn, message, attributes, note=note)


EVEN = np.log(np.array([[1.0, 2.0, 5.0], [0.5, 0.25, 0.25]]))

CASES = (
    *three("randomNormal", {"mean": 0.0, "stdDev": 1.0}, {"mean": 0.0, "deviation": 1.0}, spread(stats.norm())),
    *three("randomNormal", {"mean": -3.0, "stdDev": 0.25}, {"mean": -3.0, "deviation": 0.25}, spread(stats.norm(-3, 0.25)), "moved"),
    *three("randomUniform", {"minVal": 0.0, "maxVal": 1.0}, {"low": 0.0, "high": 1.0}, spread(stats.uniform())),
    *three("randomUniform", {"minVal": -2.0, "maxVal": 3.0}, {"low": -2.0, "high": 3.0}, spread(stats.uniform(-2, 5)), "moved"),
    *three("randomBernoulli", {"prob": 0.5}, {"probability": 0.5}, counted(np.array([[0.5, 0.5]]))),
    *three("randomBernoulli", {"prob": 0.1}, {"probability": 0.1}, counted(np.array([[0.9, 0.1]])), "rare"),
    *three("randomBernoulli", {"prob": 0.0}, {"probability": 0.0}, counted(np.array([[1.0]])), "never", False),
    *three("randomBernoulli", {"prob": 1.0}, {"probability": 1.0}, counted(np.array([[0.0, 1.0]])), "always", False),
    classes("logits", EVEN[:, np.newaxis] + 7, np.array([[0.125, 0.25, 0.625], [0.5, 0.25, 0.25]]), True),
    classes("fields never set", EVEN[1], np.array([[0.5, 0.25, 0.25]]), True, temperature=0.0, epsilon=0.0),
    classes("logits of masked classes", np.array([0.0, -np.inf, 0.0]), np.array([[0.5, 0.0, 0.5]]), True),
    classes("cold", EVEN[0], np.array([[1.0, 4.0, 25.0]]) / 30, True, temperature=0.5),
    classes("probabilities", np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]), np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]), False),
    classes("hot probabilities", np.array([0.04, 0.16, 0.8]), np.array([[1, 2, 20**0.5]]) / (3 + 20**0.5), False, temperature=2.0),
    classes("epsilon", np.array([1.0, 0.0]), np.array([[0.75, 0.25]]), False, epsilon=0.5),
)
