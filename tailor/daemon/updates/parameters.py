"""Parameters of updates: from the names that people write to what a model takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailor import MLModel, MLParameterError, MLParameterKey

from ..ledger import KeptUpdate

IN_PROGRESS = frozenset({MLParameterKey.LEARNING_RATE.name})
"""Parameters that can be changed once an update has begun."""


def checked_parameters(model: MLModel, given: Mapping[str, Any]) -> dict[MLParameterKey, Any]:
    """Parameters by name as ``model`` takes them. Raises ``MLParameterError`` for one that it does not have or does not allow."""
    described = model.description.parameter_descriptions_by_key
    checked = {}
    for name, value in given.items():
        key = MLParameterKey.parse(name)
        if key not in described:
            known = ", ".join(map(str, described)) or "none"
            raise MLParameterError(f"parameter {name}: model {model.name!r} does not have it; it has: {known}")
        checked[key] = described[key].check(value)
    return checked


def in_progress(checked: Mapping[MLParameterKey, Any]) -> dict[MLParameterKey, Any]:
    """Those that can be changed once an update has begun."""
    return {key: value for key, value in checked.items() if key.name in IN_PROGRESS}


def check_in_progress(checked: Mapping[MLParameterKey, Any]) -> None:
    """Raises ``MLParameterError`` for one that cannot be changed once an update has begun."""
    for key, value in checked.items():
        if key.name not in IN_PROGRESS:
            expected = f"expected one that can change once an update has begun ({', '.join(sorted(IN_PROGRESS))})"
            raise MLParameterError(f"parameter {key}: {expected}, got {value!r} for one that is set when it begins")


def parameters_of(model: MLModel, update: KeptUpdate) -> dict[MLParameterKey, Any]:
    """The parameters that an update begins with. A seed that nobody gave is drawn from its identifier: the same whenever it begins anew."""
    drawn = int(update.identifier[:8], 16) >> 1
    described = model.description.parameter_descriptions_by_key
    seeds = [key for key, told in described.items() if key.name == MLParameterKey.SEED.name and told.default_value is None]
    return {**dict.fromkeys(seeds, drawn), **checked_parameters(model, update.parameters)}
