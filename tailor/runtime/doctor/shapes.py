"""The shapes of a network's values, of one example, for inputs of the sizes that the description declares first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tailor.kernels import Shape

from ..description import describe
from ..errors import MLModelError
from ..models.lowered import graph_of, inputs_of
from ..models.tensors import ArrayInput
from ..network.graph import Branch, Loop
from ..network.shapes import told
from ..values import MLFeatureDescription, MLImageConstraint, MLMultiArrayConstraint

Shapes = dict[str, Shape]


def shapes_of(spec: Any, values: Iterable[str]) -> Shapes:
    """The shapes of ``values`` and of what they depend on, by name, as far as they can be told before anything runs.

    Empty where an input declares no shape.
    """
    try:
        graph = graph_of(spec, tuple(values), "network")
        graph = graph.towards(*graph.outputs)
        described = describe(spec).input_descriptions_by_name
        given = {}
        for entry in inputs_of(spec, graph.inputs, "network"):
            shape = _declared(described[entry.name]) if entry.name in described else None
            if shape is None:
                return {}
            given[entry.name] = entry.shape(shape) if isinstance(entry, ArrayInput) else (*((1,) if entry.rank5 else ()), 1, *shape)
    except MLModelError:  # no network that can be read; whoever runs it says so
        return {}
    known: dict[str, Shape | None] = dict(given)
    for node in graph.nodes:
        control = node.control
        if isinstance(control, (Branch, Loop)):
            after, _ = told(node, dict(zip(control.takes, map(known.get, node.inputs), strict=True)), graph.parameters)
            known.update(zip(node.outputs, map(after.get, control.makes), strict=True))
        else:
            after, _ = told(node, {name: known.get(name) for name in node.inputs}, graph.parameters)
            known.update((name, after.get(name)) for name in node.outputs)
    return {name: shape for name, shape in known.items() if shape is not None}


def _declared(feature: MLFeatureDescription) -> Shape | None:
    constraint = feature.constraint
    if isinstance(constraint, MLMultiArrayConstraint):
        return constraint.shape or None
    if isinstance(constraint, MLImageConstraint) and constraint.pixels_wide:
        channels = 1 if constraint.color_space.is_gray else 3
        return (channels, constraint.pixels_high, constraint.pixels_wide)
    return None
