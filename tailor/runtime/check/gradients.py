"""The gradients that training uses, against central differences of the loss in float64."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np

from tailor.kernels import SGD, Array

from ..errors import MLModelError
from ..models import Columns
from ..models.lowered import graph_of, inputs_of
from ..network import Plans, Tensors, cut, run_all, shared_team
from .lesson import Lesson
from .subject import Subject, learned
from .verdict import Check

NAME = "gradients"

EXAMPLES = 6
"""The gradient of the mean loss of so many examples is looked at."""

STEPS = (1e-4, 1e-5, 1e-6)
"""How far a parameter is moved; a kink (ReLU, maximum) within the longer steps is passed by in the shorter ones."""

CLOSE = 1e-6
"""Closer than this they need not come."""

TOLERANCE = 1e-3
"""How much the two may differ: of the larger one, or of a tenth of the parameter's largest gradient, for float32 rounds sums as a whole."""

RATE = 2.0**40
"""A step of plain descent at this rate leaves nothing of a parameter but its gradient, times a power of two."""


def check_gradients(subject: Subject, lesson: Lesson, samples: int, seed: int) -> Check:
    """One step of training gives the gradients of every parameter that learns; of each, ``samples`` numbers are compared.

    Half of them are those with the largest gradients, the others drawn with ``seed``.
    """
    numbers = subject.some(EXAMPLES)
    columns = subject.columns(numbers)
    with subject.taught() as learner:
        learner.step(columns, len(numbers), SGD(RATE))
        found = {key: array.astype(np.float64) / -RATE for key, array in learned(learner).items()}

    loss, parameters = _in_float64(subject, lesson, columns, len(numbers), found.keys())
    draw, worst, where, compared = np.random.default_rng(seed), 0.0, "", 0
    for key, gradient in found.items():
        largest = float(np.abs(gradient).max(initial=0.0))
        for place in _chosen(gradient, samples, draw):
            analytic, error, numeric = float(gradient.flat[place]), np.inf, 0.0
            for step in STEPS:
                slope = _slope(loss, parameters[key], place, step)
                apart = abs(analytic - slope) / max(abs(analytic), abs(slope), 0.1 * largest, 1e-7)
                if apart < error:
                    error, numeric = apart, slope
                if error < CLOSE:
                    break
            compared += 1
            if error > worst or not where:
                worst, where = error, f"{key}[{place}]: {analytic:.6g}, by differences {numeric:.6g}"
    return Check.judged(
        NAME,
        worst <= TOLERANCE,
        f"{compared} numbers of {len(found)} parameters and central differences in float64 are apart by at most {worst:.0e}; {where}",
        compared=compared,
        parameters=len(found),
        examples=len(numbers),
        worst=worst,
        tolerance=TOLERANCE,
    )


def _in_float64(
    subject: Subject, lesson: Lesson, columns: Columns, count: int, learning: Collection[str]
) -> tuple[Callable[[], float], Mapping[str, Array]]:
    """The mean loss of ``count`` examples as a function of the parameters ``learning``, which are arrays to be changed."""
    who = subject.model.name
    graph = graph_of(subject.learner.spec, [lesson.value], who)
    graph = replace(graph, parameters={key: array.astype(np.float64) for key, array in graph.parameters.items()})
    read = {entry.name: entry.read(columns.get(entry.name), count) for entry in inputs_of(subject.learner.spec, graph.inputs, who)}
    tensors: Tensors = {name: [x.astype(np.float64) for x in column] for name, column in read.items()}
    front, rest = cut(graph, [lesson.value], learning)
    if front is not None:  # once, for it is the same whatever the parameters are
        tensors = {**tensors, **run_all(Plans(front), tensors, count, shared_team())}
    plans, targets = Plans(rest, learns=learning), lesson.targets(columns)

    def loss() -> float:
        values = list(run_all(plans, tensors, count, shared_team())[lesson.value])
        if any(value.dtype != np.float64 for value in values):
            raise MLModelError(f"{who}: expected layers that can compute in float64, got a {lesson.value!r} of {values[0].dtype}")
        return float(np.mean(lesson.losses(values, targets)))

    return loss, rest.parameters


def _chosen(gradient: Array, samples: int, draw: np.random.Generator) -> list[int]:
    """Places of a parameter: half of them those with the largest gradients, the others drawn."""
    most = min(samples, gradient.size)
    top = np.argsort(-np.abs(gradient), axis=None, kind="stable")[: (most + 1) // 2]
    others = np.setdiff1d(np.arange(gradient.size), top)
    return [*top.tolist(), *draw.choice(others, most - len(top), replace=False).tolist()]


def _slope(loss: Callable[[], float], parameter: Array, place: int, step: float) -> float:
    """The central difference of the loss along one number of a parameter, which is as before afterwards."""
    before = parameter.flat[place]
    step *= max(1.0, abs(float(before)))
    sides = []
    for moved in (before + step, before - step):
        parameter.flat[place] = moved
        sides.append(loss())
    parameter.flat[place] = before
    return (sides[0] - sides[1]) / (2 * step)
