"""What a field of the settings may be, in words: for errors, and for the table in the documentation."""

from __future__ import annotations

from typing import Any

from msgspec import inspect

LONGEST = 60


def in_words(annotation: Any) -> str:
    """Of a field's type: ``a whole number from 0 to 65535``; ``"all" or "new"``; ``true or false``."""
    return _words(inspect.type_info(annotation))


def _words(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata(extra_json_schema={"description": str(told)}):
            return told[0].lower() + told[1:].rstrip(".")
        case inspect.Metadata(type=inner):
            return _words(inner)
        case inspect.UnionType(types=types):
            return " or ".join(_words(one) for one in types if not isinstance(one, inspect.NoneType))
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number{_bounds(kind)}"
        case inspect.FloatType():
            return f"a number{_bounds(kind)}"
        case inspect.StrType():
            return "a text"
        case inspect.LiteralType(values=values):
            return " or ".join(f'"{value}"' for value in sorted(map(str, values)))
        case inspect.TupleType(item_types=items):
            return f"[{', '.join(_words(item) for item in items)}]"
        case inspect.ListType():
            return "an array of tables"
    return "a table"


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge:g} to {kind.le:g}"
    told = {"above": kind.gt, "at least": kind.ge, "below": kind.lt, "at most": kind.le}
    return " " + " and ".join(f"{word} {bound:g}" for word, bound in told.items() if bound is not None)


def shown(value: Any) -> str:
    """What came: as TOML writes it, as far as that fits a line."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value[:LONGEST]}{"..." if len(value) > LONGEST else ""}"'
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return f"{value}"[:LONGEST]
