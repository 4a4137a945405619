"""``tailor restore``: a model again, from a snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailor import MLModel, restore_snapshot

from .outputs import check_writable
from .terminal import file_size, print_json, results


def restore(
    snapshot: Annotated[Path, typer.Argument(metavar="SNAPSHOT", help="The snapshot.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model to write; replaced if it exists.", show_default=False)],
    base: Annotated[Path | None, typer.Option("--base", help="The model that the snapshot was taken against.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write the model that a snapshot holds.

    It equals the one that was kept, bit for bit.

    \b
    Example: tailor restore Mine.snap --base Drawing.mlmodel -o Again.mlmodel
    """
    check_writable(output)
    model = restore_snapshot(snapshot, base=MLModel(base) if base is not None else None)
    model.write(output)
    if as_json:
        print_json({"output": str(output), "size": model.size, "type": model.model_type})
    else:
        results().print(f"{output}: {model.model_type}, {file_size(model.size)}", markup=False)
