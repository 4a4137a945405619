"""Plans: shapes foretold, only what is needed run, values let go, many threads at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tailor.kernels import Array, Op, Reading
from tailor.kernels.op import from_the_end
from tailor.runtime.errors import MLModelError, MLPredictionCancelledError, MLUnsupportedError
from tailor.runtime.network import Graph, Plans, make_plan, portions
from tests.network.tiny import OPS, SQUARE, graph

W = np.array([1.0, 2.0, 3.0], dtype=np.float32)


def test_shapes_are_foretold_and_a_misfit_names_the_layer_before_anything_runs() -> None:
    def explode(x: Array) -> Array:
        raise AssertionError("ran")

    made = graph("a = pre:square(x)", "y = wide:scale(a)", wide=W)
    made = replace(made, nodes=(replace(made.nodes[0], op=replace(SQUARE, forward=explode)), made.nodes[1]))
    assert make_plan(made, {"x": (2, 3)}).shapes == {"x": (2, 3), "a": (2, 3), "y": (2, 3)}
    with pytest.raises(MLModelError, match=r"layer 'wide' \(scale\): expected a last axis of 3, got shape \(2, 4\)"):
        make_plan(made, {"x": (2, 4)})


def test_a_kind_that_cannot_be_run_is_an_error_only_where_it_is_needed() -> None:
    lines = ("a = fine:square(x)", "y = memory:lstm(a)")
    assert make_plan(graph(*lines, outputs="a"), {"x": (3,)}).shapes["a"] == (3,)
    with pytest.raises(MLUnsupportedError, match="layer 'memory' of kind 'lstm' is not supported yet"):
        make_plan(graph(*lines), {"x": (3,)})


def test_values_are_let_go_after_their_last_use_and_dead_nodes_never_run() -> None:
    made = graph("p q = halves:split(x)", "a = one:scale(p)", "dead = never:scale(q)", "y = two:sum(a p)", one=W, never=W)
    plan = make_plan(made, {"x": (3,)})
    assert [(call.node.name, set(call.done)) for call in plan.calls] == [("halves", {"x", "q"}), ("one", set()), ("two", {"p", "a"})]
    x = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    assert plan.run({"x": x}, stacked=False)["y"].tolist() == [2 + 2, 6 + 3, 12 + 4]  # (x + 1) * w + (x + 1)


def test_an_op_that_refuses_values_names_the_layer() -> None:
    def refuse(x: Array) -> Array:
        raise ValueError("expected an index below 3, got 7")

    made = graph("y = look:square(x)")
    made = replace(made, nodes=(replace(made.nodes[0], op=replace(SQUARE, forward=refuse)),))
    with pytest.raises(MLModelError, match=r"layer 'look' \(square\): expected an index below 3, got 7"):
        make_plan(made, {"x": (1,)}).run({"x": W}, stacked=False)


def test_plans_are_kept_up_to_a_bound() -> None:
    plans = Plans(graph("y = a:square(x)"), most=2)
    first = plans.plan({"x": (1,)})
    assert plans.plan({"x": (1,)}) is first
    for size in (2, 1, 3):
        plans.plan({"x": (size,)})
    assert len(plans) == 2
    assert plans.plan({"x": (1,)}) is first  # used more recently than (2,)


def run(made: Graph, column: Array | list[Array], total: int) -> list[list[float]]:
    rows: list[list[float]] = []
    for portion in portions(Plans(made), {"x": column}, total):
        y = portion.run()["y"]
        rows += y.tolist() if portion.stacked else [y.tolist()]
    return rows


@pytest.mark.parametrize(
    ("lines", "together", "row"),
    [
        (["y = s:square(x)"], True, lambda a, b: [a * a, b * b]),
        (["y = t:total(x)"], False, lambda a, b: [a + b]),
        (["a = s:square(x)", "b = t:total(a)", "y = u:square(b)"], True, lambda a, b: [(a * a + b * b) ** 2]),
    ],
)
def test_examples_are_independent_of_each_other(lines: list[str], together: bool, row: Callable[..., list[float]]) -> None:
    """Where only some ops cannot take examples together, only those take them one by one."""
    made = graph(*lines)
    column = np.arange(40, dtype=np.float32).reshape(20, 2)
    work = portions(Plans(made), {"x": column}, 20)
    assert [portion.stacked for portion in work] == ([True] if together else [False] * 20)
    assert run(made, column, 20) == [row(a, b) for a, b in column.tolist()]


def test_examples_of_different_shapes_go_one_by_one() -> None:
    column = [np.ones(size, dtype=np.float32) * size for size in (1, 3, 2)]
    assert run(graph("y = s:square(x)"), column, 3) == [[1], [9, 9, 9], [4, 4]]
    assert [portion.stacked for portion in portions(Plans(graph("y = s:square(x)")), {"x": column[:1] * 3}, 3)] == [True]


def test_several_threads_may_run_one_graph_at_once() -> None:
    plans = Plans(graph("a = s:square(x)", "b = t:sum(a x)", "y = u:sum(b b)"), most=2)

    def check(number: int) -> bool:
        x = np.full((number % 5 + 1,), number, dtype=np.float64)
        return plans.plan({"x": x.shape}).run({"x": x}, stacked=False)["y"].tolist() == [2.0 * (number**2 + number)] * len(x)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(check, range(300)))
    assert OPS["square"] is SQUARE


def positive(x: Array) -> Array:
    return x[x > 0]


def bounded(*shapes: Any) -> None:
    """A shape that only values tell."""


WHERE = Op("where", positive, bounded, lambda params, decode: Reading({}, {}), None, from_the_end)
DRAW = Op("draw", lambda x, seed, generator: x + generator.random(x.shape), lambda x, seed: x, WHERE.read, draws=True, batched=from_the_end)
HUGE = Op("huge", lambda x: x, lambda x: (10**6, 10**6), WHERE.read)


def test_shapes_that_only_values_tell_are_known_late() -> None:
    made = graph("a = cut:where(x)", "b = sq:square(a)", "y = wide:scale(b)", wide=W)
    made = replace(made, nodes=(replace(made.nodes[0], op=WHERE), *made.nodes[1:]))
    plan = make_plan(made, {"x": (5,)})
    assert (plan.shapes, plan.stackable) == ({"x": (5,), "a": None, "b": None, "y": None}, False)
    assert plan.run({"x": np.array([-1.0, 1, 2, 0, 3])}, stacked=False)["y"].tolist() == [1, 8, 27]
    with pytest.raises(MLModelError, match=r"layer 'wide' \(scale\): expected a last axis of 3, got shape \(2,\)"):
        plan.run({"x": np.array([-1.0, 1, 2, 0, -3])}, stacked=False)
    rows = [portion.run()["y"].tolist() for portion in portions(Plans(made), {"x": np.array([[1.0, 1, 1, 0], [0, 1, 2, 3]])}, 2)]
    assert rows == [[1, 2, 3], [1, 8, 27]]


def test_a_value_beyond_bounds_names_the_layer_before_anything_runs() -> None:
    made = graph("y = big:square(x)")
    made = replace(made, nodes=(replace(made.nodes[0], op=HUGE, kind="huge"),))
    with pytest.raises(MLModelError, match=r"layer 'big' \(huge\): expected at most \d+ elements, got shape \[1000000, 1000000\]"):
        make_plan(made, {"x": (1,)})


@pytest.mark.parametrize(("seed", "same"), [(7, True), (-1, False)])
def test_ops_that_draw_do_so_from_their_seed(seed: int, same: bool) -> None:
    made = graph("y = noise:square(x)")
    made = replace(made, nodes=(replace(made.nodes[0], op=DRAW, attributes={"seed": seed}),))
    column = np.zeros((4, 3))
    alone = run(made, column[:1], 1)
    together = run(made, column, 4)
    assert all((row == alone[0]) is same for row in together)
    if same:
        np.testing.assert_array_equal(alone[0], np.random.default_rng(7).random(3))


def test_a_run_is_stopped_between_nodes() -> None:
    plan = make_plan(graph("a = one:square(x)", "y = two:square(a)"), {"x": (1,)})
    answers = iter([False, True])
    with pytest.raises(MLPredictionCancelledError, match=r"stopped before layer 'two' \(square\)"):
        plan.run({"x": W[:1]}, stacked=False, stop=lambda: next(answers))


CONSTANT = Op("constant", lambda w: w, lambda w: w, WHERE.read)


def test_what_no_input_changes_is_made_once_and_shared_by_all_examples() -> None:
    asked: list[int] = []

    def forward(w: Array) -> Array:
        asked.append(1)
        return w

    made = graph(
        "c = k:square(x)", "b = sq:square(c)", "z = wide:scale(b)", "y = s:sum(x z)", "w = s2:sum(b z)", outputs="y w", wide=W, k=W
    )
    constant = replace(made.nodes[0], op=replace(CONSTANT, forward=forward), inputs=(), parameters=("k.weights",))
    made = replace(made, nodes=(constant, *made.nodes[1:]))
    plans = Plans(made)
    column = np.arange(12, dtype=np.float32).reshape(4, 3)
    work = portions(plans, {"x": column}, 4)
    assert [portion.stacked for portion in work] == [True]
    assert [call.node.name for call in work[0].plan.calls] == ["s"]
    for _ in range(2):
        answer = work[0].run()
        assert answer["y"].tolist() == [[a + 1, b + 8, c + 27] for a, b, c in column.tolist()]  # x + w^2 w
        assert answer["w"].tolist() == [[1 + 1, 4 + 8, 9 + 27]] * 4
    alone = plans.plan({"x": (3,)}).run({"x": column[0]}, stacked=False)
    assert alone["w"].tolist() == [2, 12, 36]
    alone["w"][0] = 7  # an answer belongs to whoever asked
    assert plans.plan({"x": (3,)}).run({"x": column[0]}, stacked=False)["w"].tolist() == [2, 12, 36]
    assert asked == [1]


@pytest.mark.parametrize("changes", ["k.weights", "wide.weights"])
def test_what_learns_is_no_constant(changes: str) -> None:
    made = graph("c = k:square(x)", "z = wide:scale(c)", "y = s:sum(x z)", wide=W.copy(), k=W.copy())
    made = replace(made, nodes=(replace(made.nodes[0], op=CONSTANT, inputs=(), parameters=("k.weights",)), *made.nodes[1:]))
    plans = Plans(made, learns=[changes])
    column = np.zeros((2, 3), dtype=np.float32)
    assert portions(plans, {"x": column}, 2)[0].run()["y"].tolist() == [[1, 4, 9]] * 2
    made.parameters[changes][...] *= 2
    assert portions(plans, {"x": column}, 2)[0].run()["y"].tolist() == [[2, 8, 18]] * 2


def test_a_layer_that_draws_without_inputs_is_no_constant() -> None:
    made = graph("r = noise:square(x)", "y = s:sum(x r)")
    noise = Op("noise", lambda generator: generator.random(3), lambda: (3,), WHERE.read, draws=True)
    made = replace(made, nodes=(replace(made.nodes[0], op=noise, inputs=()), made.nodes[1]))
    first, second = run(made, np.zeros((2, 3)), 2)
    assert first != second


def test_one_output_of_an_op_with_several_is_an_array() -> None:
    made = graph("a = one:square(x)", "y = sq:square(a)")
    single = Op("single", lambda x: (x + 1.0,), lambda x: (x,), WHERE.read, batched=from_the_end)
    made = replace(made, nodes=(replace(made.nodes[0], op=single), made.nodes[1]))
    assert run(made, W.reshape(1, 3), 1) == [[4, 9, 16]]
