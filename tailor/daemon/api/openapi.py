"""The table of routes as an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0); schemas come from the records' own types."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from tailor.client import ErrorRecord, NewModel

from ..configuration.settings import Http, Limits
from .bodies import BYTES, JSON, MSGPACK
from .routes import EVENT_STREAM, NAMES, ROUTES, Route

_SCHEMA = {"schema": {"$ref": "#/components/schemas/ErrorRecord"}}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BOUND = f"At most {Http().body_bytes} bytes, unless http.body_bytes in the settings says otherwise."
_BINARY_BOUND = f" As {BYTES} at most {Limits().model_bytes}, unless limits.model_bytes does."


def document(version: str) -> dict[str, Any]:
    """The document for this version of tailor."""
    described = {type_: None for row in ROUTES for type_ in (row.answer, row.body) if _is_described(type_)}
    schemas, components = msgspec.json.schema_components([*described, ErrorRecord], ref_template="#/components/schemas/{name}")
    components[NewModel.__name__]["properties"]["data"]["format"] = "byte"  # for readers that do not know contentEncoding
    schema_of = dict(zip(map(repr, described), schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for row in ROUTES:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "tailor daemon", "version": version, "description": "Models that learn from what comes in."},
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "By TCP; the Unix socket asks for none."}},
            "responses": {"Error": {"description": "An answer that is none.", "content": {JSON: _SCHEMA, MSGPACK: _SCHEMA}}},
        },
    }


def _is_described(type_: Any) -> bool:
    return type_ is not None and type_ is not str and type_ != dict[str, Any]


def _operation(row: Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    parameters = [*_path_parameters(row.path), *_query_parameters(row.query)]
    if row.media == EVENT_STREAM:
        parameters.append({"name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "integer", "minimum": 0}})
    told: dict[str, Any] = {"operationId": row.name, "summary": row.does, "parameters": parameters}
    if row.body is not None:
        content = {JSON: {"schema": schema_of[repr(row.body)]}, MSGPACK: {"schema": schema_of[repr(row.body)]}}
        required = any(field.required for field in msgspec.structs.fields(row.body))
        told["requestBody"] = {
            "description": _BOUND + (_BINARY_BOUND if row.raw else ""),
            "required": required,
            "content": content | ({BYTES: _BINARY} if row.raw else {}),
        }
    if row.open:
        told["security"] = []
    told["responses"] = {str(row.status): _answer(row, schema_of), "default": {"$ref": "#/components/responses/Error"}}
    return told


def _answer(row: Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    if row.answer is None:
        return {"description": "Done."}
    if row.media is not None:
        return {"description": row.does, "content": {row.media: {"schema": {"type": "string"}}}}
    schema = {"schema": schema_of.get(repr(row.answer), {"type": "object"})}
    return {"description": row.does, "content": {JSON: schema, MSGPACK: schema}}


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "schema": msgspec.json.schema(NAMES[name])}


def _query_parameters(query: type[Struct]) -> Iterable[dict[str, Any]]:
    properties = msgspec.json.schema(query)["$defs"][query.__name__]["properties"]
    for name, schema in properties.items():
        yield {"name": name, "in": "query", "required": False, "schema": schema}
