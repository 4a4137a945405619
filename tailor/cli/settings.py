"""Parameters from the ``--set KEY=VALUE`` arguments that several commands have."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import typer

from tailor import MLParameterKey


def read_settings(arguments: Iterable[str]) -> dict[MLParameterKey, Any]:
    """Values by key. Raises ``typer.BadParameter`` for what is no ``KEY=VALUE`` or comes twice, ``MLParameterError`` for an unknown key."""
    parameters: dict[MLParameterKey, Any] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected KEY=VALUE, got {argument!r}", param_hint="--set")
        key = MLParameterKey.parse(name.strip())
        if key in parameters:
            raise typer.BadParameter(f"{name!r} was given twice", param_hint="--set")
        parameters[key] = _value(text.strip())
    return parameters


def _value(text: str) -> Any:
    """A number, true or false as JSON writes them; anything else is text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (int, float, bool)) else text
