"""Rewrites of a graph that predicts: the same answers from fewer nodes. Training runs graphs as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tailor.kernels import Array

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
    if op is None or before is None or before.kind != "convolution" or before.attributes.get("deconvolution"):
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
