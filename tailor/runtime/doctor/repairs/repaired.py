"""``repaired``: a copy of a model that can be updated, with a report of what was changed for it."""

from __future__ import annotations

from typing import Any

from ...errors import MLUpdateError
from ...parameters import nested_models
from ..diagnosis import LEAST_VERSION, NETWORKS, PIPELINES, trainability
from ..report import MLRepair, MLRepairReport
from .neighbors import complete_neighbors
from .network import Asked, NetworkRepair
from .pipelines import complete_pipeline
from .training import set_parameters


def repaired(spec: Any, name: str, asked: Asked) -> tuple[Any, MLRepairReport]:
    """A repaired copy of the model ``spec``, called ``name``, and what was done.

    Raises ``MLUpdateError`` where the type cannot be updated, or what is asked for cannot be.
    """
    made = type(spec)()
    made.CopyFrom(spec)
    repairs = _repair(made, name, asked)
    return made, MLRepairReport(tuple(repairs), trainability(spec, name), trainability(made, name))


def _repair(spec: Any, who: str, asked: Asked) -> list[MLRepair]:
    kind = spec.WhichOneof("Type")
    repairs: list[MLRepair] = []
    if kind in PIPELINES:
        inner, last = nested_models(spec)[-1]
        repairs = _repair(last, f"{who}: model {inner!r}", asked)
        changed = complete_pipeline(spec)
        if changed:
            repairs.append(MLRepair("pipeline made updatable", tuple(changed), True))
    elif kind in NETWORKS:
        repair = NetworkRepair(spec, asked, who)
        repair.run()
        repairs = repair.repairs
    elif kind == "kNearestNeighborsClassifier":
        repairs = _neighbors(spec, who, asked)
    else:
        (finding, *_) = trainability(spec, who).findings
        raise MLUpdateError(f"{who}: expected {finding.expected}, got {finding.got}")
    changed = []
    if spec.specificationVersion < LEAST_VERSION:
        spec.specificationVersion = LEAST_VERSION
        changed.append("specificationVersion")
    if not spec.isUpdatable:
        spec.isUpdatable = True
        changed.append("isUpdatable")
    if changed:
        repairs.append(MLRepair("model made updatable", tuple(changed), True))
    return repairs


def _neighbors(spec: Any, who: str, asked: Asked) -> list[MLRepair]:
    given = [name for name in ("loss", "output", "optimizer", "trainable") if getattr(asked, name) is not None]
    if given:
        raise MLUpdateError(f"{who}: expected no {', '.join(given)} for nearest neighbours, which keep examples, got one")
    changed = list(complete_neighbors(spec))
    repairs = [MLRepair("classifier completed", tuple(changed), True)] if changed else []
    number = spec.kNearestNeighborsClassifier.numberOfNeighbors
    before = number.SerializeToString()
    set_parameters({"numberOfNeighbors": number}, asked.parameters, who)
    if number.SerializeToString() != before:
        repairs.append(MLRepair("parameters", ("numberOfNeighbors",), True))
    return repairs
