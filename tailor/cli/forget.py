"""``tailor forget``: a model again, as if it had never been taught some examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailor import MLModel

from .forget_kept import as_label, check_is_kept, forget_kept
from .outputs import check_writable
from .stores import Device, KeyFile, StorePlace, store_at, this_device
from .terminal import file_size, print_json, results


def forget(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A nearest neighbour classifier: a file, or the NAME[/USER] of one in a store.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write, replaced if it exists; may be MODEL.", show_default=False),
    ] = None,
    ids: Annotated[list[str] | None, typer.Option("--id", help="Examples of this id. Can be repeated.", show_default=False)] = None,
    labels: Annotated[
        list[str] | None, typer.Option("--label", help="Examples of this label. Can be repeated.", show_default=False)
    ] = None,
    sources: Annotated[
        list[str] | None, typer.Option("--source", help="Examples from this source. Can be repeated.", show_default=False)
    ] = None,
    store: StorePlace = None,
    key_file: KeyFile = None,
    backups: Annotated[
        list[str] | None,
        typer.Option("--backup", metavar="PLACE", help="Forget there too, after a sync. Can be repeated.", show_default=False),
    ] = None,
    last_only: Annotated[bool, typer.Option("--last-only", help="Leave older versions as they are.")] = False,
    device: Device = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was forgotten as JSON.")] = False,
) -> None:
    """Forget examples by id, label or source.

    Examples that any of the options names are gone: the model answers as if it
    had never been taught them. 'tailor explain' shows ids and sources. With
    --output a file is written. Without it the model is one that a store keeps,
    and the examples are taken out of every branch and every older version.

    \b
    Example: tailor forget Mine.mlmodel --id cat/7.png --output Mine.mlmodel
             tailor forget Drawing/anna --label cat --backup /mnt/backup
    """
    if not (ids or labels or sources):
        raise typer.BadParameter("give what to forget, at least one of them", param_hint="--id / --label / --source")
    if output is None:
        check_is_kept(model)
        at = store_at(store, key_file)
        others = [store_at(place, key_file) for place in backups or ()]
        raise typer.Exit(
            forget_kept(model, at, others, this_device(device), ids or (), labels or (), sources or (), not last_only, as_json)
        )
    check_writable(output)
    loaded = MLModel(Path(model))
    count = len(loaded.examples)
    whole_numbers = any(isinstance(label, int) for label in loaded.description.class_labels)
    left = loaded.without_examples(ids, [as_label(text, whole_numbers) for text in labels] if labels else None, sources)
    forgotten = count - len(left.examples)
    left.write(output)
    if as_json:
        print_json({"output": str(output), "size": left.size, "forgotten": forgotten, "examples": count - forgotten})
    else:
        results().print(f"{output}: forgot {forgotten} of {count} examples, {file_size(left.size)}", markup=False)
