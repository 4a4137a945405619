"""The file of settings, read: what is wrong with it is told with its line, all of it at once."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from . import lines
from .checking import Found, wrong_values
from .conflicts import conflicts
from .errors import Problem, SettingsError
from .places import is_url
from .settings import Settings

MOST_BYTES = 1 << 20
BARE = re.compile(r"[A-Za-z0-9_-]+")
PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$| \(at end of document\)$")
TABLES = ("conditions", "guard")


def read_settings(path: str | os.PathLike[str] | None) -> Settings:
    """The settings in a file, in UTF-8; all defaults without one.

    A model's ``updates`` have what ``[updates]`` says where they say nothing, in their ``conditions`` and ``guard`` too; ``parameters`` are
    those of one of the two. Paths are made absolute: ``~`` is the home folder, others begin in the folder that the file is in.

    Raises ``SettingsError``, which names each line, field, what was expected and what came.
    """
    if path is None:
        return Settings()
    file = os.fspath(path)
    text = _text(file)
    data, found = _parsed(file, text)

    def problems(of: Iterable[Found]) -> list[Problem]:
        told = [Problem(_line(found, where), _dotted(where), expected, got) for where, expected, got in of]
        return sorted(told, key=lambda problem: problem.line or 0)

    if wrong := problems(wrong_values(data)):
        raise SettingsError(file, wrong)
    _inherit(data)
    _locate(data, Path(file).absolute().parent)
    settings = msgspec.convert(data, Settings)
    if wrong := problems(conflicts(settings)):
        raise SettingsError(file, wrong)
    return settings


def _text(file: str) -> str:
    try:
        with open(file, "rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(file, [Problem(None, "", "a file that can be read", str(error.strerror))]) from error
    if len(data) > MOST_BYTES:
        raise SettingsError(file, [Problem(None, "", f"at most {MOST_BYTES} bytes", "more")])
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(file, [Problem(line, "", "text in UTF-8", f"the byte {data[error.start]:#04x}")]) from error


def _parsed(file: str, text: str) -> tuple[dict[str, Any], dict[lines.Path, int]]:
    """What the file says, and on which lines."""
    try:
        return tomllib.loads(text), lines.lines_of(text)
    except tomllib.TOMLDecodeError as error:
        place = PLACE.search(str(error))
        line = int(place[1]) if place is not None and place[1] else text.count("\n") + 1
        column = f" at column {place[2]}" if place is not None and place[2] else ""
        told = PLACE.sub("", str(error))
        raise SettingsError(file, [Problem(line, "", "TOML", f"what is none{column}: {told[:1].lower()}{told[1:]}")]) from error
    except RecursionError as error:
        raise SettingsError(file, [Problem(None, "", "a few levels of arrays and tables", "too many to read")]) from error


def _line(found: Mapping[lines.Path, int], where: lines.Path) -> int | None:
    """The line of a value, or of the table that lacks it."""
    while where and where not in found:
        where = where[:-1]
    return found.get(where)


def _dotted(where: lines.Path) -> str:
    """``sync.remotes[0].place``, as people and TOML write it."""
    told = ""
    for part in where:
        if isinstance(part, int):
            told += f"[{part}]"
        else:
            told += f"{'.' if told else ''}{part if BARE.fullmatch(part) else repr(part)}"
    return told


def _inherit(data: dict[str, Any]) -> None:
    """Gives each model's updates what ``[updates]`` says and they do not; names of parameters are dotted then, as they print."""
    common = data.get("updates", {})
    tables = [common]
    for model in data.get("models", {}).values():
        if "updates" in model:
            own = model["updates"]
            model["updates"] = {**common, **own, **{name: {**common.get(name, {}), **own[name]} for name in TABLES if name in own}}
            tables.append(model["updates"])
    for table in tables:
        if "parameters" in table:
            table["parameters"] = dict(_flat(table["parameters"]))


def _flat(table: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    """``model1.numberOfNeighbors = 5``, which TOML takes for a table in a table, as one name."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def _locate(data: dict[str, Any], folder: Path) -> None:
    """Makes paths absolute."""
    sync = data.get("sync", {})
    remotes = sync.get("remotes", [])
    rows = [(data, ("state", "store", "key_file")), (data.get("http", {}), ("socket",))]
    rows += [(model, ("path",)) for model in data.get("models", {}).values()]
    rows += [(watch, ("folder",)) for watch in data.get("watch", {}).values()]
    rows += [(remote, ("place", "key_file")) for remote in remotes]
    for table, names in rows:
        for name in names:
            if name in table and not (name in ("store", "place") and is_url(table[name])):
                table[name] = str(folder / os.path.expanduser(table[name]))
