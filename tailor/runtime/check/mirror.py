"""The same training in PyTorch, in float64: the layers that Core ML updates through, written with PyTorch's own functions.

A value is a tensor ``[N, ..., C, H, W]``. PyTorch is not a dependency: where it is absent the check says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from ..models.lowered import graph_of, inputs_of
from ..network import Graph, Node
from ..parameters import MLParameterKey as Key
from ..parameters import ParameterValue
from .course import Course
from .lesson import CROSS_ENTROPY, Lesson
from .subject import Subject, learned
from .verdict import Check

NAME = "PyTorch"

TOLERANCE = 1e-3
"""Of a mini-batch's loss, or of 0.1 where it is smaller."""

Layer: TypeAlias = Callable[[Any, Sequence[Any], Sequence[Any], Mapping[str, Any]], Any]


def _sides(size: int, kernel: int, stride: int, dilation: int, padding: str, amounts: Sequence[int]) -> tuple[int, int]:
    """Padding before and behind one axis."""
    if padding == "valid":
        return amounts[0], amounts[1]
    total = max(0, (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
    less = total // 2
    return (total - less, less) if padding == "same_top_left" else (less, total - less)


def _padded(torch: Any, x: Any, kernel: Any, attributes: Mapping[str, Any], filling: float) -> Any:
    (kh, kw), (sh, sw), amounts = kernel, attributes["stride"], attributes["amounts"]
    dh, dw = attributes.get("dilation", (1, 1))
    top, bottom = _sides(x.shape[-2], kh, sh, dh, attributes["padding"], amounts[:2])
    left, right = _sides(x.shape[-1], kw, sw, dw, attributes["padding"], amounts[2:])
    return torch.nn.functional.pad(x, (left, right, top, bottom), value=filling)


def _convolution(torch: Any, inputs: Sequence[Any], weights: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    (x,) = inputs
    images = _padded(torch, x.reshape(-1, *x.shape[-3:]), weights[0].shape[-2:], attributes, 0.0)
    steps = {"stride": attributes["stride"], "dilation": attributes["dilation"], "groups": attributes["groups"]}
    made = torch.nn.functional.conv2d(images, *weights, **steps)
    return made.reshape(*x.shape[:-3], *made.shape[-3:])


def _inner_product(torch: Any, inputs: Sequence[Any], weights: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    (x,) = inputs
    if x.ndim - 1 < 4:
        return torch.nn.functional.linear(x, *weights)
    return torch.nn.functional.linear(x.flatten(-3), *weights)[..., None, None]


def _pooling(torch: Any, inputs: Sequence[Any], weights: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    (x,) = inputs
    images = x.reshape(-1, *x.shape[-3:])
    if attributes["whole"]:
        made = images.amax((-2, -1), keepdim=True) if attributes["kind"] == "max" else images.mean((-2, -1), keepdim=True)
    elif attributes["kind"] == "max":
        filled = _padded(torch, images, attributes["kernel"], attributes, float("-inf"))
        made = torch.nn.functional.max_pool2d(filled, attributes["kernel"], attributes["stride"])
    else:
        both = (_padded(torch, one, attributes["kernel"], attributes, 0.0) for one in (images, torch.ones_like(images)))
        made, counted = (torch.nn.functional.avg_pool2d(one, attributes["kernel"], attributes["stride"]) for one in both)
        made = made / counted if attributes["exclude_padding"] else made
    return made.reshape(*x.shape[:-3], *made.shape[-3:])


def _batchnorm(torch: Any, inputs: Sequence[Any], weights: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    gamma, beta, mean, variance = (array.reshape(-1, 1, 1) for array in weights)
    return (inputs[0] - mean) * torch.rsqrt(variance + attributes["epsilon"]) * gamma + beta


def _flatten(torch: Any, inputs: Sequence[Any], weights: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    moved = inputs[0].movedim(-3, -1) if attributes["channel_last"] else inputs[0]
    return moved.flatten(-3)[..., None, None]


def _permute(torch: Any, inputs: Sequence[Any], weights: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    places = (-5, -3, -2, -1)  # sequence, channel, height, width
    return inputs[0].movedim([places[source] for source in attributes["axes"]], places)


def _embedding(torch: Any, inputs: Sequence[Any], weights: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    return weights[0].T[inputs[0][..., 0, 0, 0].long()][..., None, None] + (weights[1].reshape(-1, 1, 1) if weights[1:] else 0)


def _add(torch: Any, inputs: Sequence[Any], weights: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    return sum(inputs[1:], inputs[0]) if inputs[1:] else inputs[0] + attributes["alpha"]


LAYERS: Mapping[str, Layer] = MappingProxyType(
    {
        "convolution": _convolution,
        "innerProduct": _inner_product,
        "pooling": _pooling,
        "batchnorm": _batchnorm,
        "flatten": _flatten,
        "permute": _permute,
        "embedding": _embedding,
        "concat": lambda torch, inputs, weights, attributes: torch.cat(list(inputs), dim=attributes["axis"]),
        "add": _add,
        "clip": lambda torch, inputs, weights, attributes: torch.clamp(inputs[0], attributes["low"], attributes["high"]),
        "softmax": lambda torch, inputs, weights, attributes: torch.softmax(inputs[0], dim=-3),
        "activation.ReLU": lambda torch, inputs, weights, attributes: torch.relu(inputs[0]),
        "activation.sigmoid": lambda torch, inputs, weights, attributes: torch.sigmoid(inputs[0]),
        "activation.tanh": lambda torch, inputs, weights, attributes: torch.tanh(inputs[0]),
        "activation.leakyReLU": lambda torch, inputs, weights, attributes: torch.nn.functional.leaky_relu(inputs[0], attributes["alpha"]),
        "activation.linear": lambda torch, inputs, weights, attributes: attributes["alpha"] * inputs[0] + attributes["beta"],
    }
)


def _foreign(node: Node) -> bool:
    """Whether the mirror has nothing like this layer."""
    told = node.attributes
    return (
        node.kind not in LAYERS
        or told.get("deconvolution", False)
        or (node.kind == "convolution" and len(node.inputs) > 1)
        or told.get("padding", "valid") not in ("valid", "same", "same_top_left")
        or (node.kind == "pooling" and told["kind"] == "l2")
        or told.get("statistics", "given") != "given"
    )


def check_mirror(subject: Subject, lesson: Lesson, course: Course) -> Check:
    """The same mini-batches in the same order, from the same weights, give the same losses in PyTorch."""
    if asked := ", ".join(subject.configuration.training.used()):
        return Check.not_run(NAME, f"the mirror does not know what is asked for: {asked}")
    graph = graph_of(subject.learner.spec, [lesson.value], subject.model.name).towards(lesson.value)
    foreign = sorted({node.kind for node in graph.nodes if _foreign(node)})
    if foreign:
        return Check.not_run(NAME, f"the mirror has no such layers: {', '.join(foreign)}")
    try:
        torch: Any = import_module("torch")
    except ImportError:
        return Check.not_run(NAME, "PyTorch is not installed (pip install torch)")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # its threads wait busily for one another
    try:
        expected = _trained(torch, graph, subject, lesson, course)
    finally:
        torch.set_num_threads(threads)
    errors = [abs(told - loss) / max(abs(loss), 0.1) for told, loss in zip(course.losses, expected, strict=True)]
    number = int(np.argmax(errors))
    return Check.judged(
        NAME,
        max(errors) <= TOLERANCE,
        f"losses of {len(errors)} mini-batches here and in PyTorch (float64) are apart by at most {max(errors):.0e}; "
        f"mini-batch {number}: {course.losses[number]:.6g}, PyTorch {expected[number]:.6g}",
        miniBatches=len(errors),
        worst=max(errors),
        tolerance=TOLERANCE,
        version=str(torch.__version__),
    )


def _trained(torch: Any, graph: Graph, subject: Subject, lesson: Lesson, course: Course) -> list[float]:
    """The losses of the course's mini-batches in PyTorch."""
    held = {key: torch.tensor(array, dtype=torch.float64) for key, array in graph.parameters.items()}
    with subject.taught() as learner:
        learning = [held[key].requires_grad_() for key in learned(learner)]
    optimizer = _optimizer(torch, learning, course.parameters)
    entries = inputs_of(subject.learner.spec, graph.inputs, subject.model.name)
    losses = []
    for rows in course.rows:
        columns = subject.columns(rows)
        read = {entry.name: entry.read(columns.get(entry.name), len(rows)) for entry in entries}
        values = {name: torch.tensor(np.stack(list(column)), dtype=torch.float64) for name, column in read.items()}
        for node in graph.nodes:
            inputs, weights = [values[name] for name in node.inputs], [held[key] for key in node.parameters]
            values[node.outputs[0]] = LAYERS[node.kind](torch, inputs, weights, node.attributes)
        loss = _loss(torch, graph, values, lesson, lesson.targets(columns))
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def _loss(torch: Any, graph: Graph, values: Mapping[str, Any], lesson: Lesson, targets: Sequence[Any]) -> Any:
    if lesson.kind == CROSS_ENTROPY:
        softmax = graph.maker(lesson.value)
        assert softmax is not None  # or there would have been no update
        logits = values[softmax.inputs[0]].flatten(1)
        return torch.nn.functional.cross_entropy(logits, torch.tensor([lesson.place(target) for target in targets]))
    wanted = torch.tensor(np.stack([np.asarray(target, np.float64).ravel() for target in targets]))
    return torch.nn.functional.mse_loss(values[lesson.value].flatten(1), wanted)


def _optimizer(torch: Any, learning: Sequence[Any], value: Mapping[Key, ParameterValue]) -> Any:
    rate = float(value[Key.LEARNING_RATE])
    if Key.BETA1 in value:
        return torch.optim.Adam(learning, rate, (float(value[Key.BETA1]), float(value[Key.BETA2])), float(value[Key.EPS]))
    return torch.optim.SGD(learning, rate, float(value[Key.MOMENTUM]))
