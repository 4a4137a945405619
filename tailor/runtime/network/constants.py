"""Values of a graph that no input changes: made once, and shared by all plans, runs and examples."""

from __future__ import annotations

from collections.abc import Collection

from tailor.kernels import Array

from .control import compute, taken
from .graph import Graph
from .step import foretold, quiet
from .team import one_blas_thread


def find_constants(graph: Graph, learns: Collection[str] = ()) -> dict[str, Array]:
    """What nodes make whatever the inputs are: of constants, no numbers drawn, no code but ours. By value.

    ``learns``: keys of parameters that will change. What only other constants need is left out.
    Raises ``MLModelError`` naming a layer that refuses its values, or whose output would be beyond bounds.
    """
    found: dict[str, Array] = {}
    nodes = graph.needed(graph.outputs)
    with quiet():
        for node in nodes:
            op = node.op
            if op is None or op.draws or op.name.startswith("custom.") or not found.keys() >= set(node.inputs):
                continue
            if any(key in learns for key in node.parameters):
                continue
            given, weights = taken(node, found), [graph.parameters[key] for key in node.parameters]
            foretold(node, op, [x.shape for x in given], weights)
            with one_blas_thread():
                compute(node, op, given, weights, node.attributes, found, None)
    wanted = {name for node in nodes if found.keys().isdisjoint(node.outputs) for name in node.inputs} | set(graph.outputs)
    return {name: value for name, value in found.items() if name in wanted}
