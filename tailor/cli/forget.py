"""``tailor forget``: a model again, as if it had never been taught some examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailor import MLModel

from .outputs import check_writable
from .terminal import file_size, print_json, results


def forget(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A nearest neighbour classifier.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The model to write, replaced if it exists; may be MODEL.", show_default=False)
    ],
    ids: Annotated[list[str] | None, typer.Option("--id", help="Examples of this id. Can be repeated.", show_default=False)] = None,
    labels: Annotated[
        list[str] | None, typer.Option("--label", help="Examples of this label. Can be repeated.", show_default=False)
    ] = None,
    sources: Annotated[
        list[str] | None, typer.Option("--source", help="Examples from this source. Can be repeated.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was forgotten as JSON.")] = False,
) -> None:
    """Forget examples by id, label or source, and write the result.

    Examples that any of the options names are gone: the model answers as if it
    had never been taught them. 'tailor explain' shows ids and sources.

    \b
    Example: tailor forget Mine.mlmodel --id cat/7.png --output Mine.mlmodel
             tailor forget Mine.mlmodel --source drawings -o Mine.mlmodel
    """
    if not (ids or labels or sources):
        raise typer.BadParameter("give what to forget, at least one of them", param_hint="--id / --label / --source")
    check_writable(output)
    loaded = MLModel(model)
    count = len(loaded.examples)
    whole_numbers = any(isinstance(label, int) for label in loaded.description.class_labels)
    left = loaded.without_examples(ids, [_label(text, whole_numbers) for text in labels] if labels else None, sources)
    forgotten = count - len(left.examples)
    left.write(output)
    if as_json:
        print_json({"output": str(output), "size": left.size, "forgotten": forgotten, "examples": count - forgotten})
    else:
        results().print(f"{output}: forgot {forgotten} of {count} examples, {file_size(left.size)}", markup=False)


def _label(text: str, whole_number: bool) -> str | int:
    try:
        return int(text) if whole_number else text
    except ValueError:
        return text  # which no example has
