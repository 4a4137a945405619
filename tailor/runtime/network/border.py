"""The border in a network that learns: the frozen front, whose values never change, and the rest, which a trainer is given."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from .graph import Graph, Node, inside


def cut(graph: Graph, wanted: Iterable[str], learns: Collection[str]) -> tuple[Graph | None, Graph]:
    """What makes the values ``wanted``, in two: the frozen front, and the rest, which makes them from what the front makes.

    The inputs of the rest are the border: the outputs of the front, and those of ``graph``'s inputs that the rest takes itself.
    They depend on the example, and on nothing that changes while the parameters ``learns`` do. Behind the border is whatever
    depends on one of those; or on numbers drawn, which are others each time; and what no input changes, which no example has
    to keep. There is no front (``None``) where nothing in it has parameters or blocks: it would cost next to nothing.
    """
    outputs = tuple(dict.fromkeys(wanted))
    nodes = graph.needed(outputs)
    behind = _behind(nodes, learns)
    frozen = _changed(nodes, graph.inputs) - behind
    taken = {name for node in nodes if not behind.isdisjoint(node.outputs) for name in node.inputs}.union(outputs)
    border = tuple(name for node in nodes for name in node.outputs if name in frozen & taken)
    front = graph.towards(*border)
    if not any(node.parameters or node.control for node in front.nodes):
        return None, replace(graph, outputs=outputs)
    rest = graph.needed(outputs, border)
    used = {name for node in rest for name in node.inputs}.union(outputs)
    inputs = (*(name for name in graph.inputs if name in used), *border)
    own = {key for node in rest for key in node.parameters}.union(learns)
    kept = {key: array for key, array in graph.parameters.items() if key in own}
    return front, Graph(inputs, outputs, rest, kept)


def _behind(nodes: tuple[Node, ...], learns: Collection[str]) -> set[str]:
    """The values that depend on a parameter that learns or on numbers drawn."""
    behind: set[str] = set()
    size = -1
    while size != len(behind):
        size = len(behind)
        for node in nodes:
            if not behind.isdisjoint(node.inputs) or any(key in learns for key in node.parameters) or _draws(node):
                behind.update(node.outputs)
        # A block may leave a value unmade, and only another block can do without: the two stay on one side.
        choosy = {name for node in nodes if node.control and not behind.isdisjoint(node.outputs) for name in node.inputs}
        behind.update(name for node in nodes if node.control and not choosy.isdisjoint(node.outputs) for name in node.outputs)
    return behind


def _draws(node: Node) -> bool:
    return any(one.op is not None and one.op.draws for one in inside((node,)))


def _changed(nodes: tuple[Node, ...], inputs: Iterable[str]) -> set[str]:
    """The values that are made of ``inputs``."""
    changed = set(inputs)
    for node in nodes:
        if not changed.isdisjoint(node.inputs):
            changed.update(node.outputs)
    return changed.difference(inputs)
