"""What a model's file tells by its first bytes, without reading the rest."""

from __future__ import annotations

from .schema.model_pb2 import Model
from .wire import BrokenOff, NotWire, wire_fields


def peek_model_type(start: bytes) -> str:
    """The model's type, as ``model_type`` names it, by the beginning of its file; ``""`` where that does not reach so far."""
    types = {field.number: field.name for field in Model.DESCRIPTOR.oneofs_by_name["Type"].fields}
    try:
        return next((types[field.number] for field in wire_fields(start) if field.number in types), "")
    except BrokenOff as broken:
        return types.get(broken.field, "")
    except NotWire:
        return ""
