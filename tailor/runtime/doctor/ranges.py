"""Core ML's rules for the parameters of an update: a default within the values allowed, positive where it has to be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .report import MLFinding

POSITIVE = ("miniBatchSize", "epochs", "numberOfNeighbors")


def check_parameter(name: str, message: Any, where: str) -> Iterator[MLFinding]:
    """Findings about one parameter of the format, an ``Int64Parameter`` or a ``DoubleParameter``."""
    default = message.defaultValue
    positive = name in POSITIVE

    def found(expected: str, got: object) -> MLFinding:
        return MLFinding("parameter-values", f"{where}.{name}", expected, str(got))

    if positive and default <= 0:
        yield found("a positive default value", default)
    allowed = message.WhichOneof("AllowedValues")
    if allowed == "set":
        values = list(message.set.values)
        if default not in values:
            yield found(f"a default value among {', '.join(map(str, values)) or 'those allowed'}", default)
        if positive and any(value <= 0 for value in values):
            yield found("positive values in its set", min(values))
    elif allowed == "range":
        low, high = message.range.minValue, message.range.maxValue
        if positive and low <= 0:
            yield found("a positive minimum", low)
        if low > high:
            yield found("a minimum of at most its maximum", f"{low} to {high}")
        elif not low <= default <= high:
            yield found(f"a default value from {low} to {high}", default)


def widened(name: str, message: Any, value: float | int | None = None) -> bool:
    """Makes the default value (``value``, where it is given) one of those allowed; says whether anything changed."""
    before = message.SerializeToString()
    if value is not None:
        message.defaultValue = value
    positive = name in POSITIVE
    if positive and message.defaultValue <= 0:
        message.defaultValue = 1
    default = message.defaultValue
    allowed = message.WhichOneof("AllowedValues")
    if allowed == "set":
        kept = {one for one in message.set.values if one > 0 or not positive} | {default}
        if kept != set(message.set.values):
            message.set.values[:] = sorted(kept)
    elif allowed == "range":
        low, high = message.range.minValue, message.range.maxValue
        if low > high:
            low, high = high, low
        message.range.minValue = min(max(low, 1) if positive else low, default)
        message.range.maxValue = max(high, default)
    return bool(message.SerializeToString() != before)
