"""Core ML's rules for the training inputs of a network: some of its inputs, and the loss's target or the class label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .report import MLFinding

RULE = "training-inputs"
WHERE = "description.trainingInput"


def check_training_inputs(spec: Any, network: Any) -> Iterator[MLFinding]:
    """Findings about the training inputs of ``spec``, whose network is ``network``."""
    description = spec.description
    given = list(description.trainingInput)
    names = ", ".join(repr(feature.name) for feature in given) or "none"
    if len(given) <= 1:
        yield MLFinding(RULE, WHERE, "at least two: inputs of the model, and the loss's target", names)
        return
    inputs = {feature.name: _kind(feature.type) for feature in description.input}
    others = [feature for feature in given if inputs.get(feature.name) != _kind(feature.type)]
    if not others:
        yield MLFinding(RULE, WHERE, "the loss's target among them", f"only inputs of the model: {names}")
        return
    if len(others) == len(given):
        yield MLFinding(RULE, WHERE, "at least one input of the model, as it is declared there", names)
    losses = network.updateParams.lossLayers
    kind = losses[0].WhichOneof("LossLayerType") if len(losses) == 1 else None
    if kind is None:
        return
    target = getattr(losses[0], kind).target
    label = description.predictedFeatureName if spec.HasField("neuralNetworkClassifier") else ""
    labels = [feature for feature in others if label and feature.name == label]
    declared = [feature for feature in description.output if feature.name == label]
    if labels and declared and _kind(labels[0].type) != _kind(declared[0].type):
        expected, got = (feature.type.WhichOneof("Type") for feature in (declared[0], labels[0]))
        yield MLFinding(RULE, f"{WHERE} {label!r}", f"the type of the class label, {expected}", str(got))
    elif not labels and target not in [feature.name for feature in others]:
        yield MLFinding(RULE, WHERE, f"the loss's target {target!r}" + (f" or the label {label!r}" if label else ""), names)


def _kind(feature_type: Any) -> bytes:
    """A type as the validator compares it: whether it is optional does not matter."""
    plain = type(feature_type)()
    plain.CopyFrom(feature_type)
    plain.isOptional = False
    return bytes(plain.SerializeToString(deterministic=True))
