"""Runs of a plan's calls that can be one compiled program: found, put together, and run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from time import perf_counter
from typing import Any

from tailor.kernels import AXES, BINDS, Array, Assembly, Border, Packed, Program, Shape, View

from .call import Call
from .crew import shared_crew
from .graph import Node
from .observe import Step, Watch

LEAST_WORK = 1 << 12
"""Elements made, or ``PRODUCTS`` times as many multiply-adds, below which one call is not worth a program."""

PRODUCTS = 64


@dataclass(frozen=True, slots=True)
class Region:
    """Calls that run as one program: the values that it takes and makes, and those that nobody needs after it."""

    calls: tuple[Call, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    done: tuple[str, ...]
    program: Program

    @property
    def node(self) -> Node:
        """The first: what an error names that comes before any has run."""
        return self.calls[0].node

    def run(self, values: dict[str, Any], examples: int | None, watch: Watch | None) -> None:
        """Puts the outputs into ``values``, with a leading axis of ``examples`` as the inputs have one; tells ``watch`` of each layer."""
        given = [values[name] if examples is not None else values[name][None] for name in self.inputs]
        count = 1 if examples is None else examples
        seconds: dict[str, float] = {}

        def timed(label: str, step: Callable[[], object]) -> None:
            begin = perf_counter()
            step()
            seconds[label] = seconds.get(label, 0.0) + perf_counter() - begin

        made = self.program.run(given, count, shared_crew(), timed if watch is not None else None)
        values.update(zip(self.outputs, made if examples is not None else [value[0] for value in made], strict=True))
        if watch is not None:
            self._tell(watch, count, seconds)

    def _tell(self, watch: Watch, count: int, seconds: Mapping[str, float]) -> None:
        for call in self.calls:
            node, made = call.node, _made(call)
            watch.tell(
                Step(
                    node.name,
                    node.kind,
                    seconds.get(node.outputs[0], 0.0),
                    node.inputs,
                    node.outputs,
                    count,
                    made,
                    4 * count * sum(map(prod, made)),
                    sum(array.nbytes for array in call.weights),
                    count * call.work,
                    4 * count * self.program.size,
                )
            )


def with_programs(
    calls: Sequence[Call], outputs: Sequence[str], constants: Mapping[str, Array], packed: Packed
) -> tuple[Call | Region, ...]:
    """``calls`` with those that follow each other and have steps put together; what is too little to be worth it stays."""
    found: list[Call | Region] = []
    begin = 0
    last = {name: place for place, call in enumerate(calls) for name in (*call.node.outputs, *call.node.inputs)}
    for place in range(len(calls) + 1):
        if place < len(calls) and _fits(calls[place]):
            continue
        own = calls[begin:place]
        if _worth(own):
            made = {name for call in own for name in call.node.outputs}
            after = made & (set(outputs) | {name for name in made if last[name] >= place})
            found.append(_assembled(own, after, constants, packed))
        else:
            found.extend(own)
        found.extend(calls[place : place + 1])
        begin = place + 1
    return tuple(found)


def _fits(call: Call) -> bool:
    bind = BINDS.get(call.op.name) if call.op is not None else None
    if bind is None or call.late or call.stacked is None or not all(len(x) < AXES for x in call.shapes):
        return False
    return bind.fits(call.shapes[: len(call.node.inputs)], [array.shape for array in call.weights], call.node.attributes)


def _worth(calls: Sequence[Call]) -> bool:
    """Whether more than values are moved, and not only a little."""
    computing = [call for call in calls if call.op is not None and not BINDS[call.op.name].moves]
    return len(computing) > 1 or sum(max(sum(map(prod, _made(call))), call.work // PRODUCTS) for call in computing) > LEAST_WORK


def _made(call: Call) -> tuple[Shape, ...]:
    """The shapes of the outputs."""
    return call.shapes[len(call.node.inputs) :]


def _assembled(calls: Sequence[Call], after: set[str], constants: Mapping[str, Array], packed: Packed) -> Region:
    made = [name for call in calls for name in call.node.outputs]
    shapes = {name: shape for call in calls for name, shape in zip((*call.node.inputs, *call.node.outputs), call.shapes, strict=True)}
    taken = dict.fromkeys(name for call in calls for name in call.node.inputs if name not in made)
    inputs = tuple(name for name in taken if name not in constants)
    outputs = tuple(name for name in made if name in after)
    to = Assembly(_borders(calls), _homes(calls, shapes), packed)
    values: dict[str, View] = {name: to.input(shapes[name]) if name in inputs else to.constant(constants[name]) for name in taken}
    for call in calls:
        node = call.node
        assert call.op is not None
        to.label = node.outputs[0]
        given = [values[name] for name in node.inputs]
        views = BINDS[call.op.name].make(to, to.label, given, call.weights, node.attributes)
        values.update(zip(node.outputs, views if isinstance(views, tuple) else (views,), strict=True))
    done = tuple(name for call in calls for name in call.done if name in inputs)
    return Region(tuple(calls), inputs, outputs, done, to.finish([values[name] for name in outputs]))


def _borders(calls: Sequence[Call]) -> dict[str, Border]:
    """The zeros that each value's users want around it, the widest of each side."""
    wanted: dict[str, Border] = {}
    for call in calls:
        assert call.op is not None
        if call.node.inputs:
            name = call.node.inputs[0]
            border = BINDS[call.op.name].border(call.shapes[0], [array.shape for array in call.weights], call.node.attributes)
            known = wanted.get(name, (0, 0, 0, 0))
            wanted[name] = (max(known[0], border[0]), max(known[1], border[1]), max(known[2], border[2]), max(known[3], border[3]))
    return wanted


def _homes(calls: Sequence[Call], shapes: Mapping[str, Shape]) -> dict[str, tuple[str, int, Shape]]:
    """The values that can be made in their place in a longer one: those of one concat, once."""
    made = {name for call in calls for name in call.node.outputs}
    homes: dict[str, tuple[str, int, Shape]] = {}
    for node in (call.node for call in calls):
        if node.kind == "concat":
            at = 0
            for name in node.inputs:
                if name in made and name not in homes and node.inputs.count(name) == 1:
                    homes[name] = (node.outputs[0], at, shapes[node.outputs[0]])
                at += shapes[name][-3]
    return homes
