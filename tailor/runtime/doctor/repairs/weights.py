"""Parameters of layers that learn, as float32 numbers: what is stored as float16 or quantised loses what it learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tailor.kernels import Array

from ...format import LayerRecord, write_floats

FIELDS = ("weights", "bias")


def stored_otherwise(record: LayerRecord) -> Iterator[tuple[str, Any, bool]]:
    """The fields of a convolution or an inner product that are not stored as float32: name, message, whether quantised."""
    for field in FIELDS:
        message = getattr(record.params, field)
        quantised = bool(message.HasField("quantization") or message.rawValue or message.int8RawValue)
        if quantised or message.float16Value:
            yield field, message, quantised


def to_float32(record: LayerRecord, weights: Mapping[str, Array]) -> None:
    """Stores the parameters of a layer as float32; ``weights``: what they are now, by ``<layer>.<field>``."""
    for field, message, _ in list(stored_otherwise(record)):
        for other in ("float16Value", "rawValue", "int8RawValue", "quantization"):
            message.ClearField(other)
        write_floats(message, "floatValue", weights[f"{record.name}.{field}"], f"layer {record.name!r} {field}")
    if record.kind == "innerProduct":
        record.params.int8DynamicQuantize = False
