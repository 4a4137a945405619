"""``trainability``: what keeps a model from being updated, whatever its type; of a pipeline, its last model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..errors import MLModelError
from ..models.registry import build_learner
from ..parameters import nested_models
from .neighbors import check_neighbors
from .networks import check_network
from .pipelines import check_pipeline
from .report import MLFinding, MLFindingSeverity, MLTrainability, MLTrainableLayer

NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")
PIPELINES = ("pipeline", "pipelineClassifier", "pipelineRegressor")
UPDATABLE_TYPES = (*NETWORKS, "kNearestNeighborsClassifier", *PIPELINES)

LEAST_VERSION = 4
"""The first version of the format with updatable models."""

_LEARNING = "a neural network, nearest neighbours, or a pipeline that ends with one of them"

_WHY = {
    "linkedModel": "a linked model, which is never updatable itself: in a pipeline it can stand in front of what learns",
    "mlProgram": "an ML Program, of which Core ML updates none: convert it with convert_to='neuralnetwork'",
}


def trainability(spec: Any, name: str) -> MLTrainability:
    """What keeps the model ``spec``, called ``name``, from being updated by Core ML and by tailor."""
    kind = spec.WhichOneof("Type")
    learner, loss, findings, layers = _examined(spec)
    return MLTrainability(name, kind, learner, bool(spec.isUpdatable), loss, (*findings, *_refused_here(spec, name)), tuple(layers))


def _examined(spec: Any) -> tuple[str, str, list[MLFinding], list[MLTrainableLayer]]:
    """The name of the model that learns, its loss, findings by Core ML's rules, and its layers."""
    kind = spec.WhichOneof("Type")
    if kind not in UPDATABLE_TYPES:
        got = _WHY.get(kind, f"{kind}, which is not updated")
        return "", "none", [MLFinding("model-type", "model", _LEARNING, got)], []
    findings = list(_check_model(spec))
    if kind in PIPELINES:
        name, last = nested_models(spec)[-1]
        learner, loss, inner, layers = _examined(last)
        findings += check_pipeline(spec)
        findings += (replace(finding, where=f"model {name!r}: {finding.where}") for finding in inner if finding.rule != "updatable-model")
        return f"{name}.{learner}" if learner else name, loss, findings, layers
    if kind in NETWORKS:
        loss, inner, layers = check_network(spec)
        return "", loss, [*findings, *inner], layers
    return "", "none: examples are kept", [*findings, *check_neighbors(spec)], []


def _check_model(spec: Any) -> Iterator[MLFinding]:
    if not spec.isUpdatable:
        yield MLFinding("updatable-model", "isUpdatable", "true", "false")
    if spec.specificationVersion < LEAST_VERSION:
        yield MLFinding("version", "specificationVersion", f"at least {LEAST_VERSION}", str(spec.specificationVersion))


def _refused_here(spec: Any, name: str) -> Iterator[MLFinding]:
    """What tailor's own learner says."""
    if not spec.isUpdatable:
        yield MLFinding("updatable-model", "isUpdatable", "true", "false", MLFindingSeverity.TAILOR_REFUSES)
        return
    try:
        build_learner(spec, name).close()
    except MLModelError as error:
        yield MLFinding("learner", "update", "a model that can be updated here", str(error), MLFindingSeverity.TAILOR_REFUSES)
