"""Rewrites of a graph that predicts: the same answers from fewer nodes. Training runs graphs as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tailor.kernels import FUSED_CONVOLUTION, OPS, Array

from .graph import Graph, Node


def fold_batchnorms(graph: Graph) -> Graph:
    """Puts each batch normalisation with fixed statistics into the weights of the convolution before it.

    It is an affine map of every channel, and so is asked what it does to 0 and 1: that gives shift and scale. In float64,
    so that weights are rounded once. Left alone: where the convolution's own answer is needed by others too.
    """
    for node in graph.nodes:
        if node.kind == "batchnorm" and node.inputs:
            graph = _folded(graph, node)
    return graph


def _folded(graph: Graph, norm: Node) -> Graph:
    op, value = norm.op, norm.inputs[0]
    before = graph.maker(value)
    if op is None or before is None or before.kind != "convolution" or len(before.inputs) > 1 or before.attributes.get("deconvolution"):
        return graph
    if not _fixed(graph, norm, before) or value in graph.outputs or len(graph.users(value)) > 1:
        return graph
    weights, *biases = (graph.parameters[key].astype(np.float64) for key in before.parameters)
    statistics = [graph.parameters[key].astype(np.float64) for key in norm.parameters]

    def normalised(level: float) -> Array:
        channels: Array = op.forward(np.full((len(weights), 1, 1), level), *statistics, **norm.attributes).reshape(-1)
        return channels

    shift = normalised(0.0)
    scale = normalised(1.0) - shift
    bias = biases[0] * scale + shift if biases else shift
    scope = before.parameters[0].rpartition(".")[0]
    keys = (f"{scope}.weights", f"{scope}.bias")
    folded = {keys[0]: (weights * scale.reshape(-1, 1, 1, 1)).astype(np.float32), keys[1]: bias.astype(np.float32)}
    node = replace(before, outputs=norm.outputs, parameters=keys)
    nodes = tuple(node if other is before else other for other in graph.nodes if other is not norm)
    kept = {key: array for key, array in graph.parameters.items() if key not in norm.parameters}
    return replace(graph, nodes=nodes, parameters={**kept, **folded})


def _fixed(graph: Graph, norm: Node, before: Node) -> bool:
    """Whether the statistics are parameters, not computed from the input, and there is one a channel."""
    channels = len(graph.parameters[before.parameters[0]])
    return len(norm.parameters) == 4 and all(len(graph.parameters[key]) == channels for key in norm.parameters)


def fuse(graph: Graph) -> Graph:
    """Makes of each convolution, an addition after it and the limits after that (ReLU, clip) one node.

    Left alone: what others need too.
    """
    for name in [node.outputs[0] for node in graph.nodes if _plain(node)]:
        node = graph.maker(name)
        if node is not None and _plain(node):
            graph = _fused(graph, node)
    return graph


def _plain(node: Node) -> bool:
    """Whether it is a convolution whose weights are parameters."""
    return node.op is OPS["convolution"] and len(node.inputs) == 1 and not node.attributes.get("deconvolution")


def _fused(graph: Graph, before: Node) -> Graph:
    sliding = {name: value for name, value in before.attributes.items() if name not in ("deconvolution", "output")}
    parameters, more = before.parameters, dict(graph.parameters)
    if len(parameters) == 1:
        parameters = (*parameters, f"{parameters[0].rpartition('.')[0]}.bias")
        more[parameters[1]] = np.zeros(len(more[parameters[0]]), np.float32)
    last, inputs, adding = before, before.inputs, None
    gone = [before]
    after = _only_user(graph, last)
    if after is not None and after.op is OPS["add"] and len(after.inputs) == 2 and after.inputs[0] != after.inputs[1]:
        other = next(value for value in after.inputs if value != last.outputs[0])
        adding, inputs, last = after.attributes, (*inputs, other), after
        gone.append(after)
        after = _only_user(graph, last)
    limits = _limits(after)
    if after is not None and limits is not None:
        last = after
        gone.append(after)
    attributes = {**sliding, "adding": adding, "limits": limits or (-np.inf, np.inf)}
    node = replace(before, op=FUSED_CONVOLUTION, inputs=inputs, outputs=last.outputs, attributes=attributes, parameters=parameters)
    nodes = tuple(node if other is last else other for other in graph.nodes if other is last or all(other is not old for old in gone))
    return replace(graph, nodes=nodes, parameters=more)


def _only_user(graph: Graph, node: Node) -> Node | None:
    """The node that takes what ``node`` makes, where nobody else does."""
    users = graph.users(node.outputs[0])
    return users[0] if len(users) == 1 and node.outputs[0] not in graph.outputs else None


def _limits(node: Node | None) -> tuple[float, float] | None:
    """What ``node`` holds values between, where it does nothing else."""
    if node is None or node.op is None:
        return None
    if node.op is OPS["activation.ReLU"]:
        return 0.0, np.inf
    if node.kind == "clip" and node.op is OPS.get("clip"):
        return float(node.attributes["low"]), float(node.attributes["high"])
    return None
