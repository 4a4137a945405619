"""Layers with several outputs in one compiled program: the values that are needed come out, stacked or not, alone or with mates."""

from __future__ import annotations

import numpy as np
import pytest

from tailor.kernels import OPS, Array, can_run
from tailor.runtime.network import Graph, Node, Plan, Step, make_plan, mates, watching
from tailor.runtime.network.regions import Region
from tests.network.models import weights

pytestmark = pytest.mark.skipif(not can_run(), reason="needs Numba, which is absent or switched off")

STEPS, BATCH, INPUT, SIZE = 4, 2, 3, 160
SHAPES = {"x": (STEPS, BATCH, INPUT, 1, 1), "h": (1, BATCH, SIZE, 1, 1)}
WEIGHTS = {f"lstm.{place}": weights(place, SIZE, INPUT if place < 4 else SIZE) for place in range(8)}
WEIGHTS |= {f"gru.{place}": weights(place, SIZE, SIZE) for place in range(6)}


def recurrent(name: str, kind: str, inputs: str, outputs: str, activations: tuple[str, ...], **more: object) -> Node:
    attributes = {"activations": tuple((one,) for one in activations), "has_bias": False, "reverse_input": False, **more}
    keys = tuple(key for key in WEIGHTS if key.startswith(name))
    return Node(name, kind, OPS[kind], tuple(inputs.split()), tuple(outputs.split()), attributes, keys)


LSTM = {"sequence_output": True, "has_peepholes": False, "forget_bias": True, "coupled": False, "limit": 50.0}
GRAPH = Graph(
    ("x", "h"),
    ("y", "c", "left"),
    (
        recurrent("lstm", "uniDirectionalLSTM", "x", "a b c", ("sigmoid", "tanh", "tanh"), **LSTM),
        recurrent("gru", "gru", "a h", "y last", ("sigmoid", "tanh"), sequence_output=False),
        Node("less", "activation.linear", OPS["activation.linear"], ("b",), ("left",), {"alpha": -1.0, "beta": 0.5}),
    ),
    WEIGHTS,
)


def ran(plan: Plan, inputs: dict[str, Array], spare: int = 0) -> dict[str, Array]:
    with mates(spare):
        return plan.run(inputs, stacked=inputs["x"].ndim > 5)


def test_outputs_of_a_program_are_those_of_its_layers() -> None:
    plan, apart = make_plan(GRAPH, SHAPES, {}, {}), make_plan(GRAPH, SHAPES)
    assert [type(call) for call in plan.calls] == [Region]
    inputs = {name: weights(9, 3, *shape) for name, shape in SHAPES.items()}
    found, wanted = ran(plan, inputs), ran(apart, inputs)
    assert found.keys() == wanted.keys() == {"y", "c", "left"}
    for name in wanted:
        assert found[name].shape == (3, 1, BATCH, SIZE, 1, 1)
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-4, atol=1e-6)
    first = {name: x[0] for name, x in inputs.items()}
    for spare in (0, 1, 2):
        for name, y in ran(plan, first, spare).items():
            np.testing.assert_array_equal(y, found[name][0])


def test_all_outputs_of_a_layer_are_told() -> None:
    seen: list[Step] = []
    with watching(lambda models, step: seen.append(step)):
        ran(make_plan(GRAPH, SHAPES, {}, {}), {name: weights(9, *shape) for name, shape in SHAPES.items()})
    one, sequence = (1, BATCH, SIZE, 1, 1), (STEPS, BATCH, SIZE, 1, 1)
    assert [(step.name, step.shapes) for step in seen] == [("lstm", (sequence, one, one)), ("gru", (one, one)), ("less", (one,))]
    assert [step.made for step in seen] == [4 * BATCH * SIZE * times for times in (STEPS + 2, 2, 1)]
    assert all(step.seconds > 0 for step in seen)


def test_a_small_answer_of_much_work_is_worth_a_program() -> None:
    node = recurrent("lstm", "uniDirectionalLSTM", "x", "y b c", ("sigmoid", "tanh", "tanh"), **{**LSTM, "sequence_output": False})
    little = Node("one", "activation.ReLU", OPS["activation.ReLU"], ("x",), ("y",))
    for only, worth in ((node, True), (little, False)):
        (call,) = make_plan(Graph(("x",), ("y",), (only,), WEIGHTS), SHAPES, {}, {}).calls
        assert isinstance(call, Region) is worth
