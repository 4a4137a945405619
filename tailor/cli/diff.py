"""``tailor diff``: how far a model's weights moved, and which examples it gained and lost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tailor import MLModel, MLModelDifference, MLModelStore, MLWeightDifference, compare_models

from .stores import Branch, KeyFile, StorePlace, name_and_user, store_at
from .terminal import add_rows, print_json, results, table


def diff(
    of: Annotated[str, typer.Argument(metavar="MODEL|NAME[/USER]", help="A .mlmodel, or a name in a store.", show_default=False)],
    before: Annotated[
        str | None,
        typer.Argument(metavar="[FROM]", help="What to compare with: a version or a .mlmodel. [default: its base]", show_default=False),
    ] = None,
    after: Annotated[str, typer.Argument(metavar="[TO]", help="The version that is compared.")] = "HEAD",
    store: StorePlace = None,
    key_file: KeyFile = None,
    branch: Branch = "main",
    as_json: Annotated[bool, typer.Option("--json", help="Print what differs as JSON.")] = False,
) -> None:
    """Show what differs between two versions, or two model files.

    Of each layer that changed: how far its numbers moved, also as a share of
    how large they were. Of nearest neighbours: examples gained and lost.

    \b
    Example: tailor diff Drawing/anna
             tailor diff Drawing/anna HEAD~2 HEAD
             tailor diff Drawing.mlmodel Mine.mlmodel
    """
    if _is_model(of):
        if before is None or not _is_model(before) or after != "HEAD":
            raise typer.BadParameter(f"expected a second .mlmodel to compare {of} with, got {before!r}", param_hint="FROM")
        _show(compare_models(MLModel(of), MLModel(before)), as_json)
        return
    name, user = name_and_user(of)
    earlier = MLModel(before) if before is not None and _is_model(before) else before

    async def compare(opened: MLModelStore) -> MLModelDifference:
        return await opened.diff(name, user, earlier, after, branch=branch)

    _show(store_at(store, key_file).run(compare), as_json)


def _is_model(name: str) -> bool:
    """Whether there is a model file, or package, of this name."""
    return Path(name).is_file() or (Path(name).is_dir() and name.rstrip("/").endswith(".mlpackage"))


def _show(found: MLModelDifference, as_json: bool) -> None:
    if as_json:
        print_json(found.as_dict())
        return
    console = results()
    if found.same:
        console.print("no difference")
    if found.weights:
        title = f"Weights: {len(found.weights)} changed, {found.unchanged} as they were"
        console.print(add_rows(table(title, "layer", "numbers", "moved by", "relative", "most"), map(_weight, found.weights)))
    if found.examples:
        examples = [(row.label, row.source, f"+{row.added}", f"-{row.removed}") for row in found.examples]
        console.print(add_rows(table("Examples", "label", "source", "added", "removed"), examples))
    if found.otherwise:
        console.print("They differ in more than weights, examples and labels.")
    for title, pairs in (("Metrics", found.metrics), ("Parameters", found.parameters)):
        if pairs:
            rows = [(name, _number(was), _number(now)) for name, (was, now) in pairs.items()]
            console.print(add_rows(table(title, "", "before", "after"), rows))


def _weight(row: MLWeightDifference) -> tuple[str, ...]:
    return row.name, _share(row.changed, row.after), _number(row.norm), _percent(row.relative), _number(row.largest)


def _share(changed: int, count: int | None) -> str:
    return f"{changed} of {count}" if count is not None else "gone"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.3%}"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
