"""The lines of values in TOML: by tomllib, and by where a value that is there once can be read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailor.daemon.configuration.lines import lines_of

KEYS = ["a", "b-c", "d_1", '"e.f"', "'g h'", '"#[="', '"\\u0041"', "3"]
BEHIND = ["", "  ", " # note", ' # "[x]\' = """ {']
BETWEEN = ["", "\n", "\n# [no] = '''\n", "\n\t\n"]


@st.composite
def documents(draw: st.DrawFn) -> str:
    """TOML in which every value has a number of its own."""
    numbers = count(1000)
    lines: list[str] = []

    def scalar(breaks: bool) -> str:
        number = next(numbers)
        plain = [f"{number}", f"{number}.5e1", f'"<{number}> \\" # ] }}"', f"'<{number}> \" , ='", f"{number}-05-27 07:32:00"]
        return draw(
            st.sampled_from([*plain, f'"""<{number}>\n ] " "" \\" # ""\\"""""', f"'''<{number}>\n [a] = ' '''''"] if breaks else plain)
        )

    def value(depth: int, breaks: bool = True) -> str:
        kind = draw(st.sampled_from(["scalar", "scalar", "array", "table"])) if depth else "scalar"
        if kind == "scalar":
            return scalar(breaks)
        if kind == "table":
            names = draw(st.lists(st.sampled_from(["k", "l . x", "\"m.y\" .'z'.w"]), max_size=3, unique=True))
            return "{" + ", ".join(f"{name} = {value(depth - 1, False)}" for name in names) + "}"
        gap = draw(st.sampled_from(BETWEEN)) if breaks else " "
        items = [value(depth - 1, breaks) for _ in range(draw(st.integers(0, 3)))]
        return f"[{gap}" + f"{gap},{gap}".join(items) + (f"{gap},{gap}" if items and breaks else "") + "]"

    def pairs(depth: int) -> None:
        for key in draw(st.lists(st.sampled_from(KEYS), max_size=3, unique=True)):
            before, dots, space = (
                draw(st.sampled_from(["", " "])),
                draw(st.sampled_from(["", " . x", '."y]"'])),
                draw(st.sampled_from(["", " "])),
            )
            lines.append(f"{before}{key}{dots} ={space}{value(depth)}{draw(st.sampled_from(BEHIND))}")

    pairs(2)
    for number in range(draw(st.integers(0, 3))):
        many = draw(st.booleans())
        opened, closed = ("[[", "]]") if many else ("[", "]")
        for _ in range(draw(st.integers(1, 2)) if many else 1):
            lines.append(f"{opened} t{number} {closed}{draw(st.sampled_from(BEHIND))}")
            pairs(1)
            for inner in draw(st.lists(st.sampled_from(["u", "'v.w'", "x . y"]), max_size=2, unique=True)):
                for _ in range(draw(st.integers(1, 2))):
                    lines.append(f"[[t{number}.{inner}.z]]")
                    pairs(1)
    return draw(st.sampled_from(["\n", "\r\n"])).join("\n".join(lines).split("\n"))


def scalars(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from scalars(item, (*path, key))
    else:
        yield path, value


def marked(value: Any) -> str:
    """The text that is there once."""
    if isinstance(value, str):
        return value[: value.index(">") + 1]
    return str(int(value // 10)) + ".5e1" if isinstance(value, float) else str(getattr(value, "year", value))


@settings(max_examples=60)
@given(documents())
def test_every_value_is_found_on_the_line_that_holds_it(text: str) -> None:
    found, held = lines_of(text), text.split("\n")
    for path, value in scalars(tomllib.loads(text)):
        assert marked(value) in held[found[path] - 1]


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("[a]\n\n[a.b]\nc = 1", ("a",), 1),
        ("[a]\n\n[a.b]\nc = 1", ("a", "b"), 3),
        ("\n\na.b.c = 1", ("a", "b"), 3),
        ("[[a]]\n[[a]]\n[a.b]\nc=1", ("a", 1), 2),
        ("[[a]]\n[[a]]\n[a.b]\nc=1", ("a", 1, "b", "c"), 4),
        ("a = [\n1,\n[2,\n3]]", ("a", 1, 1), 4),
        ("a = {b = [{c = 1}]}\n", ("a", "b", 0, "c"), 1),
        ("a = {}\nb = []", ("b",), 2),
        ('a = """"""\nb = """"x"""""\nc = 1', ("c",), 3),
        ("a = 07:32:00\nb = 1979-05-27 07:32:00Z\nc = -inf", ("c",), 3),
    ],
)
def test_tables_and_values_by_hand(text: str, path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(text)
    assert lines_of(text)[path] == line
