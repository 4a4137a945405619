"""The reverse pass: gradients of a loss with respect to the parameters that learn, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tailor.kernels import Array

from ..errors import MLUpdateError
from .graph import Graph, Node
from .plan import Call, Plan, quiet


@dataclass(frozen=True, slots=True)
class Step:
    """A node of the way back; ``needs`` says of each input, then each parameter, whether its gradient is wanted."""

    node: Node
    needs: tuple[bool, ...]


def way_back(graph: Graph, start: str, trainable: Collection[str]) -> tuple[Step, ...]:
    """The nodes between the value ``start`` and the parameters ``trainable``, last first, with the gradients they need.

    Raises ``MLUpdateError`` naming the layer where a node on the way has no gradient.
    """
    learns: set[str] = set()  # values that depend on a parameter that learns
    steps: list[Step] = []
    for node in graph.needed((start,)):
        needs = (*(name in learns for name in node.inputs), *(key in trainable for key in node.parameters))
        if not any(needs):
            continue
        if node.op is None or node.op.backward is None:
            raise MLUpdateError(
                f"layer {node.name!r} of kind {node.kind!r}: expected a layer that gradients pass through, "
                "because layers that learn come before it, got one that has no gradient"
            )
        learns.update(node.outputs)
        steps.append(Step(node, needs))
    return tuple(reversed(steps))


def gradients(
    plan: Plan, steps: Sequence[Step], values: dict[str, Array], start: str, gradient: Array, *, stacked: bool
) -> dict[str, Array]:
    """Gradients by parameter, given ``gradient`` at the value ``start``; lets go of ``values`` on the way.

    ``plan``, ``values``: the run with ``keep`` of a plan of the graph that ``steps`` were made from; same ``stacked``.
    """
    calls = {call.node.outputs: call for call in plan.calls}
    arriving: dict[str, Array] = {start: gradient}
    found: dict[str, Array] = {}
    with quiet():
        for step in steps:
            node = step.node
            if arriving.keys().isdisjoint(node.outputs):
                continue
            answers = _answers(calls[node.outputs], step, arriving, values, stacked)
            inputs = len(node.inputs)
            _add(arriving, node.inputs, answers[:inputs], step.needs[:inputs])
            _add(found, node.parameters, answers[inputs:], step.needs[inputs:])
            for name in node.outputs:  # whoever used these has had its turn
                values.pop(name, None)
    return found


def _add(sums: dict[str, Array], names: Sequence[str], answers: Sequence[Array | None], needs: Sequence[bool]) -> None:
    """Adds to the gradients of values that are used more than once; never in place, for ops may answer with one array twice."""
    for name, answer, need in zip(names, answers, needs, strict=True):
        if need and answer is not None:
            sums[name] = answer if name not in sums else sums[name] + answer


def _answers(call: Call, step: Step, arriving: dict[str, Array], values: Mapping[str, Array], stacked: bool) -> tuple[Array | None, ...]:
    """What the node's op answers: one gradient an input and a parameter."""
    node = step.node
    attributes = call.stacked if stacked and call.stacked is not None else node.attributes
    gradient: Any
    answer: Any
    if len(node.outputs) == 1:
        gradient, answer = arriving.pop(node.outputs[0]), values[node.outputs[0]]
    else:
        answer = tuple(values[name] for name in node.outputs)
        gradient = tuple(arriving.pop(name, None) for name in node.outputs)
    assert call.op is not None and call.op.backward is not None  # the way back was checked
    backward = call.op.backward
    return backward(gradient, answer, *(values[name] for name in node.inputs), *call.weights, needs=step.needs, **attributes)
