"""The page that ``tailor inspect`` prints: readable in 80 columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from .terminal import add_rows, file_size, results, table

_SHOWN_LABELS = 12


def print_page(facts: Mapping[str, Any], every_layer: bool) -> None:
    """Prints the page of a model from what ``tailor inspect --json`` shows of it."""
    _print(results(), facts, every_layer, depth=0)


def _print(console: Console, facts: Mapping[str, Any], every_layer: bool, depth: int) -> None:
    def show(what: RenderableType) -> None:
        console.print(Padding(what, (0, 0, 0, 2 * depth), expand=False))

    updatable = ", updatable" if facts["isUpdatable"] else ""
    show(Text.assemble((str(facts["name"]), "bold"), f"  {facts['type']}{updatable}"))
    show(add_rows(table("", "", ""), _heading(facts, inside=depth > 0)))
    for title, key in (("Inputs", "inputs"), ("Outputs", "outputs"), ("Update inputs", "trainingInputs")):
        if facts[key] and not (depth and key == "trainingInputs"):
            console.print()
            show(add_rows(table(title, "name", "type", "description"), [_feature_row(row) for row in facts[key]]))
    if facts["parameters"] and not depth:
        console.print()
        rows = [(row["key"], "drawn" if row["default"] is None else row["default"], row["phrase"]) for row in facts["parameters"]]
        show(add_rows(table("Parameters", "key", "default", "allowed"), rows))
    if facts["layers"]:
        console.print()
        show(_layers(facts["layers"], every_layer))
    if facts["userDefined"] and not depth:
        console.print()
        show(Text("More", style="bold"))
        for key, value in facts["userDefined"].items():
            show(Text(f"{key}: {value}"))
    for part in facts["models"]:
        console.print()
        _print(console, part, every_layer, depth + 1)


def _heading(facts: Mapping[str, Any], inside: bool) -> list[tuple[str, str]]:
    labels = facts["classLabels"]
    shown = ", ".join(map(str, labels[:_SHOWN_LABELS])) + (", ..." if len(labels) > _SHOWN_LABELS else "")
    rows = [
        ("size", file_size(facts["size"])),
        ("format", f"specification version {facts['specificationVersion']}"),
        ("author", facts["author"]),
        ("licence", facts["license"]),
        ("version", facts["version"]),
        ("description", facts["description"]),
        ("predicts", facts["predictedFeatureName"] or ""),
        ("labels", f"{len(labels)}: {shown}" if labels else ""),
    ]
    return [(name, text) for name, text in rows if text and not (inside and name == "format")]


def _feature_row(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["name"], row["phrase"] + (", optional" if row["isOptional"] else ""), row["description"]


def _layers(layers: list[Mapping[str, Any]], every_layer: bool) -> RenderableType:
    learning = sum(layer["isUpdatable"] for layer in layers)
    title = f"Layers: {len(layers)}" + (f", {learning} updatable" if learning else "")
    if every_layer:
        named = title + (" (*)" if learning else "")
        return add_rows(table(named, "name", "kind", "from and to"), [_layer_row(layer) for layer in layers])
    kinds = Counter(layer["kind"] for layer in layers)
    changed = Counter(layer["kind"] for layer in layers if layer["isUpdatable"])
    return add_rows(table(title, "kind", "count", "updatable"), [(kind, count, changed[kind] or "") for kind, count in kinds.most_common()])


def _layer_row(layer: Mapping[str, Any]) -> tuple[str, str, str]:
    mark = " *" if layer["isUpdatable"] else ""
    return layer["name"], layer["kind"] + mark, f"{', '.join(layer['inputs'])} -> {', '.join(layer['outputs'])}"
