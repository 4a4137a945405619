"""The page that ``tailor profile`` prints: readable in 80 columns, with more in more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .terminal import file_size, results, table

_SHOWN_LAYERS = 3
_WIDE = 110


def print_profile(facts: Mapping[str, Any], in_order: bool) -> None:
    """Prints the page from what ``tailor profile --json`` shows."""
    console = results()
    examples = f"{facts['batch']} examples" if facts["batch"] > 1 else "1 example"
    console.print(Text.assemble((str(facts["name"]), "bold"), f"  {facts['type']}, {examples}"))
    times = f"{_time(facts['seconds'])} ms a prediction (median of {facts['repeat']}), {_time(facts['leastSeconds'])} at best"
    console.print(Text(times))
    for part in facts["models"]:
        _print(console, part, in_order, alone=len(facts["models"]) == 1)


def _print(console: Console, part: Mapping[str, Any], in_order: bool, alone: bool) -> None:
    if not alone:
        console.print()
        console.print(Text.assemble((str(part["name"]), "bold"), f"  {part['type']}, {_time(part['seconds'])} ms"))
    if not part["layers"]:
        return
    rows = part["layers"] if in_order else sorted(part["layers"], key=lambda row: -row["seconds"])
    console.print()
    console.print(_layers(rows, part, wide=console.width >= _WIDE))
    console.print()
    kinds = _table("by kind", numbers=("ms", "share", "steps", "GFLOP/s"), words=("kind",))
    _fill(kinds, ((_time(row["seconds"]), _share(row["share"]), str(row["count"]), _rate(row), row["kind"]) for row in part["kinds"]))
    console.print(kinds)
    console.print()
    console.print(Text(f"weights {file_size(part['weightBytes'])}, most held at once while it ran {file_size(part['mostBytesHeld'])}"))
    if part["layersNotRun"]:
        console.print(Text(f"not run, for no output needs them or they were done beforehand: {', '.join(part['layersNotRun'])}"))


def _layers(rows: list[Mapping[str, Any]], part: Mapping[str, Any], wide: bool) -> Table:
    more = ("M mult-adds",) if wide else ()
    made = _table(
        "by layer", numbers=("ms", "share", "GFLOP/s", *more, "makes", "weights"), words=("output", "layer", *(("kind",) if wide else ()))
    )

    def numbers(row: Mapping[str, Any], time: float, share: float) -> list[str]:
        work = [f"{row['multiplyAdds'] / 1e6:.1f}"] if wide else []
        return [_time(time), _share(share), _rate(row), *work, file_size(row["outputBytes"]), file_size(row["weightBytes"])]

    def words(row: Mapping[str, Any]) -> list[str]:
        return [_shapes(row), _names(row), *([row["kind"]] if wide else [])]

    _fill(made, ((*numbers(row, row["seconds"], row["share"]), *words(row)) for row in rows))
    total = {**part, "gflops": 2e-9 * part["multiplyAdds"] / part["layerSeconds"] if part["layerSeconds"] else 0.0}
    made.add_section()
    _fill(made, [(*numbers(total, part["layerSeconds"], 1.0), "", f"{len(rows)} in all", *([""] if wide else []))])
    return made


def _table(title: str, numbers: tuple[str, ...], words: tuple[str, ...]) -> Table:
    """Numbers stand whole, to the right; words wrap."""
    made = table(title, *numbers, *words)
    for place, column in enumerate(made.columns):
        if place < len(numbers):
            column.justify, column.no_wrap = "right", True
    return made


def _fill(made: Table, rows: Iterable[Iterable[str]]) -> None:
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))


def _names(row: Mapping[str, Any]) -> str:
    names = row["layers"]
    more = f" and {len(names) - _SHOWN_LAYERS} more" if len(names) > _SHOWN_LAYERS else ""
    return " + ".join(names[:_SHOWN_LAYERS]) + more


def _shapes(row: Mapping[str, Any]) -> str:
    return ", ".join("x".join(map(str, shape)) or "1" for shape in row["outputShapes"])


def _time(seconds: float) -> str:
    milliseconds = seconds * 1e3
    return f"{milliseconds:.1f}" if milliseconds >= 100 else f"{milliseconds:.3f}"


def _share(share: float) -> str:
    return f"{share:.1%}"


def _rate(row: Mapping[str, Any]) -> str:
    return f"{row['gflops']:.1f}"
