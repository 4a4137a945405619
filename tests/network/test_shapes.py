"""What can be told of shapes that branches and loops leave behind, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tailor.kernels import Shape
from tailor.runtime.errors import MLModelError
from tailor.runtime.format import decode_weights, layers
from tailor.runtime.network import Plan, lower, make_plan
from tests.network.blocks import network, put


def plan(spec: Any) -> Plan:
    """Of ``spec`` for x of 2 x 3 x 4 and c of one number."""
    graph = lower(layers(spec.neuralNetwork), ["x", "c"], ["y"], lambda m, field, shape, who: decode_weights(getattr(m, field), shape, who))
    return make_plan(graph, {"x": (2, 3, 4), "c": (1,)})


def branch(then: str, otherwise: str = "", before: str = "y = copy(x)") -> Callable[[], Any]:
    def build() -> Any:
        spec = network(before)
        block = put(spec.neuralNetwork, "branch(c)").branch
        put(block.ifBranch, then, "y = copy(t)")
        if otherwise:
            put(block.elseBranch, otherwise, "y = copy(t)")
        return spec

    return build


def loop(*lines: str, before: str = "y = copy(x)", leave: bool = False, deep: int = 1) -> Callable[[], Any]:
    """``deep`` loops in one another, ``lines`` in the innermost, after which it may be left."""

    def build() -> Any:
        spec = network(*before.split("; "))
        block = spec.neuralNetwork
        for _ in range(deep):
            block = put(block, "loop(c)").loop.bodyNetwork
        for line in lines:
            put(block, line)
            if leave:
                put(put(block, "branch(c)").branch.ifBranch, "loopBreak()")
        return spec

    return build


CASES: dict[str, tuple[Callable[[], Any], Shape | None]] = {
    "blocks that agree": (branch("t = stack(x x)", "t = stack(x x)", "z = copy(x)"), (4, 3, 4)),
    "blocks that differ": (branch("t = stack(x x)", "t = multiply(x 2)"), None),
    "one that runs or not, and keeps the shape": (branch("t = multiply(x 2)"), (2, 3, 4)),
    "one that runs or not, and does not": (branch("t = stack(x x)"), None),
    "one that may make it": (branch("t = multiply(x 2)", before="z = copy(x)"), None),
    "a block that does not fit, and may never run": (branch("t = stack(x c)", "t = multiply(x 2)"), None),
    "turns that keep the shape": (loop("t = multiply(y 2)", "y = copy(t)"), (2, 3, 4)),
    "turns that grow": (loop("t = stack(y x)", "y = copy(t)"), None),
    "turns whose growth comes late": (
        loop("t = copy(z)", "y = copy(t)", "u = stack(z x)", "z = copy(u)", before="y = copy(x); z = copy(x)"),
        None,
    ),
    "turns that grow and shrink": (loop("t = stack(y x)", "y = copy(t)", "y = copy(x)"), None),
    "a write that a jump makes the last": (loop("y = stack(x x)", "y = copy(x)", leave=True), None),
    "jumps between writes that keep the shape": (loop("y = multiply(x 2)", "y = copy(x)", leave=True), (2, 3, 4)),
    "loops in loops": (loop("t = multiply(y 2)", "y = copy(t)", deep=3), (2, 3, 4)),
    "too many loops in one another to look into": (loop("t = multiply(y 2)", "y = copy(t)", deep=20), None),
}


@pytest.mark.parametrize("case", CASES)
def test_shapes_after_control_flow(case: str) -> None:
    build, shape = CASES[case]
    made = plan(build())
    assert made.shapes["y"] == shape
    assert any(call.late for call in made.calls)  # a block is looked at when it runs, too


def test_a_misfit_after_a_loop_is_found_before_anything_runs() -> None:
    spec = loop("t = multiply(h 2)", "h = copy(t)", before="h = copy(x)")()
    put(spec.neuralNetwork, "y = stack(h c)")
    with pytest.raises(MLModelError, match=r"layer 'stack:y' \(concat\): .*"):
        plan(spec)
