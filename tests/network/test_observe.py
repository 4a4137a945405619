"""Watching a run: every step is told once, by whoever did it, and nobody is told outside."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tailor.kernels import Array
from tailor.runtime.models.network import NetworkPredictor
from tailor.runtime.network import Step, Watch, make_plan, model_watched, watched, watching
from tests.network.models import digits_builder, images
from tests.network.tiny import SQUARE, graph

X = np.array([1.0, 2.0, 3.0], dtype=np.float32)


def test_every_step_is_told_with_what_it_made() -> None:
    made = graph("p q = halves:split(x)", "a = one:scale(p)", "y = two:sum(a q)", one=X)
    seen: list[Step] = []
    with watching(lambda models, step: seen.append(step)):
        answer = make_plan(made, {"x": (3,)}).run({"x": np.stack([X, X])}, stacked=True)
    assert answer["y"].shape == (2, 3)
    assert [(step.name, step.inputs, step.outputs) for step in seen] == [
        ("halves", ("x",), ("p", "q")),
        ("one", ("p",), ("a",)),
        ("two", ("a", "q"), ("y",)),
    ]
    assert [step.shapes for step in seen] == [((3,), (3,)), ((3,),), ((3,),)]
    assert {step.examples for step in seen} == {2}
    assert [(step.made, step.weights, step.work) for step in seen] == [(48, 0, 6), (24, 12, 6), (24, 0, 6)]
    assert [step.held for step in seen] == [72, 72, 72]  # x p q; p q a; a q y: each 2 x 3 x 4 bytes
    assert watched() is None


def test_a_node_that_has_told_of_its_layers_is_not_told_itself() -> None:
    def own(x: Array) -> Array:
        watch = watched()
        assert isinstance(watch, Watch)
        watch.tell(Step("inner 1", "square", 0.5))
        watch.tell(Step("inner 2", "square", 0.25))
        return x * x

    made = graph("a = outer:square(x)", "y = last:square(a)")
    made = replace(made, nodes=(replace(made.nodes[0], op=replace(SQUARE, forward=own)), made.nodes[1]))
    seen: list[str] = []
    with watching(lambda models, step: seen.append(step.name)):
        make_plan(made, {"x": (3,)}).run({"x": X}, stacked=False)
    assert seen == ["inner 1", "inner 2", "last"]


def test_models_in_a_pipeline_are_told_with_the_way_to_them() -> None:
    plan = make_plan(graph("y = square:square(x)"), {"x": (3,)})
    seen: list[tuple[tuple[str, ...], str, str]] = []
    with model_watched("nobody asks"), watching(lambda models, step: seen.append((models, step.name, step.kind))):
        with model_watched("outer"), model_watched("inner"):
            plan.run({"x": X}, stacked=False)
        plan.run({"x": X}, stacked=False)
    assert seen == [
        (("outer", "inner"), "square", "square"),
        (("outer",), "inner", "model"),
        ((), "outer", "model"),
        ((), "square", "square"),
    ]


@pytest.mark.usefixtures("small_pieces")
def test_the_answers_are_the_same_and_all_portions_are_told() -> None:
    predictor = NetworkPredictor(digits_builder().spec, "digits")
    columns: dict[str, Any] = {"image": images(50)}
    plain = predictor.predict(columns, 50)["scores"]
    seen: list[tuple[Step, int]] = []
    with watching(lambda models, step: seen.append((step, threading.get_ident()))):
        watched_answer = predictor.predict(columns, 50)["scores"]
    assert np.array_equal(np.asarray(plain), np.asarray(watched_answer))
    names = {step.name for step, _ in seen}
    assert {name: sum(step.examples for step, _ in seen if step.name == name) for name in names} == dict.fromkeys(names, 50)
