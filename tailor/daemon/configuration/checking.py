"""What a file may say: every value by the type of its field, so that all that is wrong is found at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, TypeAlias, get_args, get_origin

import msgspec

from .lines import Path
from .settings import Settings, Table
from .words import in_words, shown

Found: TypeAlias = tuple[Path, str, str]
"""Where, what was expected, and what came."""


def wrong_values(given: Mapping[str, Any]) -> Iterator[Found]:
    """What in ``given`` is no setting: names that are not known, types, bounds, and what is missing."""
    return _table(Settings, given, ())


def every_field(kind: type[Table] = Settings, before: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every setting: its name, as ``models.NAME.path``; in words what it may be; and its default, ``...`` where it must be given."""
    for field in msgspec.structs.fields(kind):
        name, (plain, items) = before + field.name, _plain(field.type)
        if _is_table(plain):
            yield from every_field(plain, f"{name}.")
        elif items and _is_table(items[-1]):
            yield from every_field(items[-1], f"{name}.NAME." if plain is dict else f"{name}[].")
        elif field.default is not msgspec.NODEFAULT:
            yield name, in_words(field.type), field.default
        else:
            yield name, in_words(field.type), ... if field.required else {}


def _plain(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without its bounds, and without ``None``, which TOML has not; and the types of what is in it."""
    while get_origin(kind) in (Annotated, UnionType):
        kind = next(one for one in get_args(kind) if one is not NoneType)
    return get_origin(kind) or kind, get_args(kind)


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Table)


def _table(kind: type[Table], given: Mapping[str, Any], path: Path) -> Iterator[Found]:
    known = {field.name: field for field in msgspec.structs.fields(kind)}
    for name, value in given.items():
        if name in known:
            yield from _value(known[name].type, value, (*path, name))
        else:
            near = get_close_matches(name, known, 1)
            yield (*path, name), f"a known name, maybe {near[0]!r}" if near else f"one of {', '.join(known)}", "a name that is not known"
    for field in known.values():
        if field.required and field.name not in given:
            yield (*path, field.name), in_words(field.type), "nothing"


def _value(kind: Any, value: Any, path: Path) -> Iterator[Found]:
    plain, items = _plain(kind)
    if _is_table(plain) and isinstance(value, dict):
        yield from _table(plain, value, path)
    elif items and _is_table(items[-1]) and isinstance(value, plain):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            if plain is dict and not _is(name, items[0]):
                yield (*path, name), in_words(items[0]), shown(name)
            yield from _value(items[-1], item, (*path, name))
    elif plain is tuple and isinstance(value, list) and len(value) == len(items):
        for number, item in enumerate(value):
            yield from _value(items[number], item, (*path, number))
    elif not _is(value, kind):
        yield path, in_words(kind), shown(value)


def _is(value: Any, kind: Any) -> bool:
    """Whether a value that holds no table is of a type, as ``msgspec`` decides."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True
