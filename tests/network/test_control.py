"""Branches, loops, jumps and copies: what a reader of the program would work out by hand."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import anyio
import anyio.from_thread
import numpy as np
import pytest

from tailor.kernels import Array
from tailor.runtime import MLModel
from tailor.runtime.custom import register_custom_layer
from tailor.runtime.errors import MLCustomLayerError, MLFormatError, MLModelError, MLPredictionCancelledError
from tailor.runtime.network import control, stopping
from tests.network.blocks import ask, network, put


def summing() -> Any:
    """y = 1 + 2 + ... + x."""
    spec = network("zero = multiply(x 0)", "y = copy(zero)", "i = copy(zero)")
    body = put(spec.neuralNetwork, "loop(x)").loop.bodyNetwork
    put(body, "next = add(i 1)", "i = copy(next)", "more = add(y i)", "y = copy(more)")
    return spec


@pytest.mark.parametrize(("x", "total"), [(4, 10), (1, 1), (0, 0), (-3, 0), (100, 5050)])
def test_a_loop_that_counts_to_its_input(x: int, total: int) -> None:
    assert ask(summing(), x=[x]) == [total]


def doubling(most: int = 0) -> Any:
    """y = x doubled until it is n or more, ``most`` times at most."""
    spec = network("y = copy(x)", inputs="x n")
    loop = put(spec.neuralNetwork, "loop()").loop
    loop.conditionVar, loop.maxLoopIterations = "room", most
    put(loop.conditionNetwork, "minus = multiply(y -1)", "left = add(n minus)", "room = relu(left)")
    put(loop.bodyNetwork, "twice = multiply(y 2)", "y = copy(twice)")
    return spec


@pytest.mark.parametrize(
    ("x", "n", "most", "y"), [(3, 20, 0, 24), (3, 20, 2, 12), (3, 20, 9, 24), (3, 2, 0, 3), (1, 8, 0, 8), (0.5, 0.5, 5, 0.5)]
)
def test_a_loop_while_something_holds(x: float, n: float, most: int, y: float) -> None:
    assert ask(doubling(most), x=[x], n=[n]) == [y]


def leaving(jump: str) -> Any:
    """Five turns of y += i, with a jump before the addition where i is above 2; z counts whole turns."""
    spec = network("zero = multiply(x 0)", "y = copy(zero)", "i = copy(zero)", "z = copy(zero)", outputs="y i z")
    loop = put(spec.neuralNetwork, "loop()").loop
    loop.maxLoopIterations = 5
    put(loop.bodyNetwork, "next = add(i 1)", "i = copy(next)", "above = add(i -2)", "test = relu(above)")
    put(put(loop.bodyNetwork, "branch(test)").branch.ifBranch, f"{jump}()")
    put(loop.bodyNetwork, "more = add(y i)", "y = copy(more)", "whole = add(z 1)", "z = copy(whole)")
    return spec


@pytest.mark.parametrize(("jump", "y", "i", "z"), [("loopBreak", 3, 3, 2), ("loopContinue", 3, 5, 2)])
def test_break_leaves_the_loop_and_continue_the_turn(jump: str, y: int, i: int, z: int) -> None:
    assert ask(leaving(jump), x=[7]) == {"y": [y], "i": [i], "z": [z]}


@pytest.mark.parametrize(("stop_inner", "y"), [(False, 12), (True, 3)])
def test_a_loop_in_a_loop_and_a_break_that_leaves_the_inner_one(stop_inner: bool, y: int) -> None:
    spec = network("y = multiply(x 0)")
    outer = put(spec.neuralNetwork, "loop()").loop
    outer.maxLoopIterations = 3
    inner = put(outer.bodyNetwork, "loop()").loop
    inner.maxLoopIterations = 4
    put(inner.bodyNetwork, "next = add(y 1)", "y = copy(next)", *["loopBreak()"] * stop_inner)
    assert ask(spec, x=[5]) == [y]


def choosing(otherwise: bool) -> Any:
    """y = 10 x where c holds, else x + 10, or what y was before: x."""
    spec = network("y = copy(x)", inputs="x c")
    branch = put(spec.neuralNetwork, "branch(c)").branch
    put(branch.ifBranch, "ten = multiply(x 10)", "y = copy(ten)")
    if otherwise:
        put(branch.elseBranch, "more = add(x 10)", "y = copy(more)")
    return spec


@pytest.mark.parametrize(
    ("c", "otherwise", "y"), [(1, True, 30), (-1, False, 30), (0, True, 13), (0, False, 3), (9e-7, True, 13), (1.1e-6, True, 30)]
)
def test_a_branch(c: float, otherwise: bool, y: float) -> None:
    assert ask(choosing(otherwise), x=[3], c=[c]) == [y]


def test_both_blocks_of_a_branch_may_make_one_new_value() -> None:
    spec = network(inputs="x c")
    branch = put(spec.neuralNetwork, "branch(c)").branch
    put(branch.ifBranch, "made = multiply(x 10)")
    put(branch.elseBranch, "made = add(x 10)")
    put(spec.neuralNetwork, "y = add(made 1)")
    assert [ask(spec, x=[3], c=[c]) for c in (0, 1)] == [[14], [31]]


def test_a_value_of_a_block_that_did_not_run_is_missed_by_name() -> None:
    spec = network(inputs="x c")
    put(put(spec.neuralNetwork, "branch(c)").branch.ifBranch, "made = multiply(x 10)")
    put(spec.neuralNetwork, "y = add(made 1)")
    assert ask(spec, x=[3], c=[1]) == [31]
    with pytest.raises(MLModelError, match=r"layer 'add:y' \(add\): expected its input 'made' to be made before it runs"):
        ask(spec, x=[3], c=[0])


@pytest.mark.parametrize("times", [2, 3, 4, 7])
def test_a_copy_may_overwrite_a_name_any_number_of_times(times: int) -> None:
    lines = [line for turn in range(times) for line in (f"next{turn} = add(y 1)", f"y = copy(next{turn})")]
    assert ask(network("y = copy(x)", *lines), x=[3]) == [3 + times]


def test_a_copy_overwrites_for_those_after_it_only() -> None:
    spec = network(
        "old = add(a 0)", "twice = multiply(a 2)", "a = copy(twice)", "new = add(a 0)", "x = copy(a)", "y = add(x old)", inputs="x a"
    )
    for name in ("old", "new"):
        spec.description.output.add().CopyFrom(spec.description.output[0])
        spec.description.output[-1].name = name
    assert ask(spec, x=[100], a=[3]) == {"y": [9], "old": [3], "new": [6]}


def test_shapes_may_change_from_turn_to_turn_and_after() -> None:
    spec = network("y = copy(x)", inputs="x n")
    put(put(spec.neuralNetwork, "loop(n)").loop.bodyNetwork, "more = stack(y x)", "y = copy(more)")
    put(spec.neuralNetwork, "z = add(y 1)")
    spec.description.output.add().CopyFrom(spec.description.output[0])
    spec.description.output[-1].name = "z"
    made = ask(spec, x=[[[5]]], n=[3])
    assert made == {"y": [[[5]]] * 4, "z": [[[6]]] * 4}


def test_examples_of_a_batch_take_their_own_turns() -> None:
    made = MLModel.from_spec(summing()).predict([{"x": np.array([float(n)])} for n in (1, 2, 3)])
    assert [row["y"].tolist() for row in made] == [[1], [3], [6]]


def test_a_misfit_inside_names_the_layer_inside() -> None:
    spec = network("y = copy(x)", inputs="x z")
    loop = put(spec.neuralNetwork, "loop()").loop
    loop.maxLoopIterations = 1
    put(loop.bodyNetwork, "more = add(y z)", "y = copy(more)")
    with pytest.raises(MLModelError, match=r"layer 'add:more' \(add\): expected inputs that agree"):
        ask(spec, x=[1, 2, 3], z=[1, 2])


@pytest.mark.parametrize(
    ("n", "message"), [([1.0, 2.0], r"expected one number in 'n', got shape \[2\]"), ([np.inf], "expected a number of turns")]
)
def test_a_number_of_turns_that_is_none(n: list[float], message: str) -> None:
    spec = network("y = copy(x)")
    put(spec.neuralNetwork, "huge = multiply(x 3e38)", "n = multiply(huge 1e38)" if n == [np.inf] else "n = copy(x)")
    put(put(spec.neuralNetwork, "loop(n)").loop.bodyNetwork, "more = add(y 1)", "y = copy(more)")
    with pytest.raises(MLModelError, match=rf"layer 'loop:' \(loop\): {message}"):
        ask(spec, x=n if n != [np.inf] else [1.0])


def in_body(line: str) -> Callable[[Any], None]:
    def change(spec: Any) -> None:
        loop = put(spec.neuralNetwork, "loop()").loop
        loop.maxLoopIterations = 2
        put(loop.bodyNetwork, line)

    return change


def only_a_variable(spec: Any) -> None:
    loop = put(spec.neuralNetwork, "loop(x)").loop
    loop.conditionVar = "c"
    put(loop.bodyNetwork, "y = copy(x)")


def nothing_ends(spec: Any) -> None:
    put(put(spec.neuralNetwork, "loop()").loop.bodyNetwork, "y = copy(x)")


def named(line: str) -> Callable[[Any], None]:
    return lambda spec: put(spec.neuralNetwork, line)


REFUSED = {
    "break outside": (named("loopBreak()"), r"layer 'loopBreak:' \(loopBreak\): expected it without inputs in the body of a loop"),
    "no body": (named("loop(x)"), r"layer 'loop:' \(loop\): expected at least one layer inside"),
    "no block": (named("branch(x)"), r"layer 'branch:' \(branch\): expected at least one layer inside"),
    "no condition": (named("branch()"), r"layer 'branch:' \(branch\): expected 1 inputs, got 0"),
    "variable alone": (only_a_variable, "expected conditionNetwork and conditionVar, or neither"),
    "nothing ends it": (nothing_ends, "expected an input, a condition or maxLoopIterations above 0"),
    "unknown value": (in_body("y = copy(ghost)"), r"layer 'loop:' \(loop\): expected its input 'ghost' .* got neither"),
    "copy onto itself": (in_body("x = copy(x)"), r"layer 'copy:x' \(copy\): expected an output of another name"),
    "outputs": (named("y = loop(x)"), r"layer 'loop:y' \(loop\): expected no outputs"),
    "an ordinary layer overwrites": (named("x = add(x 1)"), r"layer 'add:x' \(add\): expected an output of its own, got 'x'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_run_is_refused(case: str) -> None:
    change, message = REFUSED[case]
    spec = network("y = copy(x)")
    change(spec)
    with pytest.raises(MLFormatError, match=message):
        ask(spec, x=[1])


def test_a_custom_layer_inside_that_nobody_registered_is_named() -> None:
    spec = network("y = copy(x)")
    body = put(spec.neuralNetwork, "loop(x)").loop.bodyNetwork
    put(body, "y = copy(x)")
    put(body, "z = custom.Strange(x)")
    with pytest.raises(MLCustomLayerError, match="layer 'custom.Strange:z' of class 'Strange'"):
        ask(spec, x=[1])


def endless(*lines: str) -> Any:
    """y counts for ever."""
    spec = network("y = copy(x)")
    loop = put(spec.neuralNetwork, "loop()").loop
    loop.conditionVar = "c"
    put(loop.conditionNetwork, "zero = multiply(x 0)", "c = add(zero 1)")
    put(loop.bodyNetwork, "more = add(y 1)", *lines, "y = copy(more)")
    return spec


def test_a_loop_is_stopped_when_it_is_told_to() -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 1000

    with stopping(stop), pytest.raises(MLPredictionCancelledError, match="stopped before layer"):
        ask(endless(), x=[1])
    assert asked == 1001


def test_a_loop_that_never_ends_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MOST_TURNS", 500)
    with pytest.raises(MLModelError, match=r"layer 'loop:' \(loop\): expected it to end within 500 turns"):
        ask(endless(), x=[1])


@pytest.mark.anyio
async def test_a_cancelled_prediction_stops_its_loop() -> None:
    begun = anyio.Event()
    turns = Event()

    class Tell:
        def __init__(self, parameters: Any, weights: Any) -> None:
            pass

        def output_shapes(self, shapes: Any) -> Any:
            return shapes

        def evaluate(self, inputs: Any) -> Array:
            if not turns.is_set():
                turns.set()
                anyio.from_thread.run_sync(begun.set)
            return np.asarray(inputs)

    register_custom_layer("Tell", Tell)
    try:
        model = MLModel.from_spec(endless("told = custom.Tell(more)"))
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(model.prediction, {"x": np.ones(1, np.float32)})
                await begun.wait()
                group.cancel_scope.cancel()
    finally:
        register_custom_layer("Tell", None)
    assert turns.is_set() and group.cancel_scope.cancelled_caught


@pytest.mark.anyio
async def test_a_prediction_that_fails_says_what_failed() -> None:
    with pytest.raises(MLModelError, match=r"layer 'loop:' \(loop\): expected one number in 'x'"):
        await MLModel.from_spec(summing()).prediction({"x": np.ones(2, np.float32)})
    assert (await MLModel.from_spec(summing()).prediction({"x": np.full(1, 4.0, np.float32)}))["y"].tolist() == [10]
