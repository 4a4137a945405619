"""On which line of a TOML file each value stands, which ``tomllib`` does not tell."""

from __future__ import annotations

import re
import tomllib
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Of a value: names of tables and keys, and numbers in arrays, counted from 0."""

BASIC = r'"(?:\\.|[^"\\\n])*"'
LITERAL = r"'[^'\n]*'"
PART = rf"(?:{BASIC}|{LITERAL}|[A-Za-z0-9_-]+)"
KEY = re.compile(rf"{PART}(?:[ \t]*\.[ \t]*{PART})*")
HEADER = re.compile(rf"(\[\[?)[ \t]*({KEY.pattern})[ \t]*\]\]?")
EQUALS = re.compile(r"[ \t]*=[ \t]*")
SCALAR = re.compile(
    rf'"""(?:\\.|[^\\])*?"{{3,5}}|'  # up to two quotation marks may stand before the closing three
    rf"'''.*?'{{3,5}}|{BASIC}|{LITERAL}|[^,\]}}#\s]+(?: \d[^,\]}}#\s]*)?",  # a date may have a space before its time
    re.DOTALL,
)
BETWEEN = re.compile(r"(?:[\s,]|#[^\n]*)*")


def lines_of(text: str) -> dict[Path, int]:
    """The line, counted from 1, of each value, by its path: where a table is first named, or where a value begins.

    ``text`` is what ``tomllib`` reads without an error; of other text nothing is promised but an answer, or ``ValueError``.
    """
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._line = 1
        self._found: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}  # how many there are so far in an array of tables

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        self._pass(BETWEEN)
        while self._at < len(self._text):
            header = HEADER.match(self._text, self._at)
            if header is not None:
                table = self._header(_parts(header[2]), is_array=header[1] == "[[")
                self._pass(HEADER)
            else:
                self._pair(table)
            self._pass(BETWEEN)
        return self._found

    def _header(self, parts: list[str], is_array: bool) -> Path:
        """The path of a table that a line names."""
        path: Path = ()
        for part in parts[:-1]:
            path = self._last((*path, part))
        path = (*path, parts[-1])
        self._note(path)
        if is_array:
            self._tables[path] = self._tables.get(path, 0) + 1
        return self._last(path)

    def _last(self, path: Path) -> Path:
        """In an array of tables, the last one is meant."""
        found = (*path, self._tables[path] - 1) if path in self._tables else path
        self._note(found)
        return found

    def _pair(self, table: Path) -> None:
        path = table
        for part in _parts(self._pass(KEY)):
            path = (*path, part)
            self._note(path)
        self._pass(EQUALS)
        self._value(path)

    def _value(self, path: Path) -> None:
        self._note(path)
        opened = self._text[self._at : self._at + 1]
        if opened not in ("[", "{"):
            self._pass(SCALAR)
            return
        self._at += 1
        number = 0
        self._pass(BETWEEN)
        while self._text[self._at : self._at + 1] not in ("]", "}"):
            if opened == "[":
                self._value((*path, number))
            else:
                self._pair(path)
            number += 1
            self._pass(BETWEEN)
        self._at += 1

    def _note(self, path: Path) -> None:
        self._found.setdefault(path, self._line)

    def _pass(self, pattern: re.Pattern[str]) -> str:
        """Goes behind what must stand here, and gives it."""
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError(f"line {self._line}: expected TOML")
        self._at = found.end()
        self._line += found[0].count("\n")
        return found[0]


def _parts(key: str) -> list[str]:
    """``a."b c".d`` as three names."""
    value: object = tomllib.loads(f"{key} = 0")
    parts = []
    while isinstance(value, dict):
        name, value = next(iter(value.items()))
        parts.append(name)
    return parts
