"""What ``tailor update`` does that Core ML does not know of, from its ``--trainable`` and ``--option`` arguments."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import typer

from tailor import MLLearningRateSchedule, MLParameterError, MLTrainingOptions

LOSS = "loss_weights."
KEYS = (
    *(field.name for field in fields(MLTrainingOptions) if field.name != "loss_weights"),
    *(f"schedule.{field.name}" for field in fields(MLLearningRateSchedule) if field.name != "kind"),
)


def trainable(names: list[str] | None) -> str | list[str] | None:
    """As ``MLModelConfiguration`` takes it: ``all`` alone stands for all."""
    return "all" if names == ["all"] else names or None


def training_options(arguments: list[str] | None) -> MLTrainingOptions:
    """The options of ``KEY=VALUE`` arguments; what belongs to a schedule, or to a loss by its name, follows a dot.

    Raises ``typer.BadParameter`` for a key that there is not, or twice, and for a value that cannot be.
    """
    found: dict[str, Any] = {}
    for argument in arguments or []:
        key, equals, text = (part.strip() for part in argument.partition("="))
        if not equals:
            raise _wrong(f"expected KEY=VALUE, got {argument!r}")
        if key not in KEYS and not key.startswith(LOSS):
            raise _wrong(f"expected one of {', '.join(KEYS)}, {LOSS}NAME, got {key!r}")
        if key in found:
            raise _wrong(f"{key!r} was given twice")
        found[key] = _value(text)
    plain = {key: value for key, value in found.items() if "." not in key and key != "schedule"}
    schedule = {key.partition(".")[2] or "kind": value for key, value in found.items() if key.partition(".")[0] == "schedule"}
    losses = {key.removeprefix(LOSS): value for key, value in found.items() if key.startswith(LOSS)}
    try:
        return MLTrainingOptions(**plain, schedule=MLLearningRateSchedule(**schedule) if schedule else None, loss_weights=losses or None)
    except MLParameterError as error:
        raise _wrong(str(error)) from None


def _wrong(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="--option")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
