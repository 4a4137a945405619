"""What a network is trained towards: its loss, or the one that its output suggests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..format import LayerRecord

CROSS_ENTROPY = "categorical_cross_entropy"
SQUARED_ERROR = "mean_squared_error"
LOSSES = (CROSS_ENTROPY, SQUARED_ERROR)

FIELDS = {"categoricalCrossEntropyLossLayer": CROSS_ENTROPY, "meanSquaredErrorLossLayer": SQUARED_ERROR}
"""By the format's field of a loss layer, what the loss is called here."""

VIEWS = ("reshapeStatic", "rankPreservingReshape", "reshapeDynamic", "reshapeLike", "squeeze", "expandDims", "flattenTo2D")
"""The kinds of layers that give the numbers of their first input in their order, whatever its shape."""

_LOG = 5  # UnaryFunctionLayerParams.LOG


@dataclass(frozen=True, slots=True)
class Aim:
    """A loss on ``value``; ``target`` is what it compares with. ``declared``: whether the model says so itself."""

    kind: str
    value: str
    target: str
    declared: bool

    def __str__(self) -> str:
        words = f"{self.kind.replace('_', ' ')} of {self.value!r}"
        return words if self.declared else f"none; {self.value!r} suggests {words}"

    def start(self, records: Sequence[LayerRecord]) -> str:
        """The value at which gradients begin: before the softmax of a cross entropy."""
        made = maker(records, self.value) if self.kind == CROSS_ENTROPY else None
        return made.inputs[0] if made is not None and made.kind == "softmax" else self.value


def aim_of(spec: Any, network: Any, records: Sequence[LayerRecord]) -> Aim | None:
    """What the network learns by; where it has no loss, or several, what its first output suggests; ``None``: it has no output."""
    losses = network.updateParams.lossLayers
    kind = losses[0].WhichOneof("LossLayerType") if len(losses) == 1 else None
    if kind is not None:
        loss = getattr(losses[0], kind)
        return Aim(FIELDS[kind], loss.input, loss.target, True)
    outputs = learned_values(spec, network, records)
    return suggested(outputs[0], spec, records) if outputs else None


def suggested(output: str, spec: Any, records: Sequence[LayerRecord]) -> Aim:
    """The loss that suits a value: cross entropy for probabilities and their logarithms, reshaped or not, else the squared error."""
    value, made = _before_views(output, records)
    if made is not None and made.kind == "unary" and made.params.type == _LOG:
        value, made = _before_views(made.inputs[0], records)
    if made is not None and made.kind in ("softmax", "softmaxND"):
        return Aim(CROSS_ENTROPY, value, f"{output}_true", False)
    kind = CROSS_ENTROPY if spec.HasField("neuralNetworkClassifier") else SQUARED_ERROR
    return Aim(kind, output, f"{output}_true", False)


def _before_views(value: str, records: Sequence[LayerRecord]) -> tuple[str, LayerRecord | None]:
    """What ``value`` is but another shape of, and the layer that makes that; ``None`` for an input."""
    for record in reversed(records):
        if value in record.outputs:
            if record.kind not in VIEWS:
                return value, record
            value = record.inputs[0]
    return value, None


def learned_values(spec: Any, network: Any, records: Sequence[LayerRecord]) -> list[str]:
    """The values that a loss can be about: a classifier's probabilities, or the outputs that layers make."""
    made = {name for record in records for name in record.outputs}
    if spec.HasField("neuralNetworkClassifier"):
        last = next(reversed(records[-1].outputs), "") if records else ""
        scores = network.labelProbabilityLayerName or last
        return [scores] if scores in made else []
    return outputs_of(spec, records)


def outputs_of(spec: Any, records: Sequence[LayerRecord]) -> list[str]:
    """The outputs of the model that layers make: not those that a classifier makes of its probabilities."""
    made = {name for record in records for name in record.outputs}
    labels = (spec.description.predictedFeatureName, spec.description.predictedProbabilitiesName)
    scores = labels if spec.HasField("neuralNetworkClassifier") else ()
    return [feature.name for feature in spec.description.output if feature.name in made and feature.name not in scores]


def maker(records: Sequence[LayerRecord], value: str) -> LayerRecord | None:
    """The layer that makes ``value`` last; ``None`` for an input."""
    return next((record for record in reversed(records) if value in record.outputs), None)
