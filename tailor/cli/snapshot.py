"""``tailor snapshot``: keep a model, or only what was changed in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailor import MLModel, take_snapshot, write_snapshot

from .outputs import check_writable
from .terminal import file_size, print_json, results


def snapshot(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model to keep.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The snapshot to write; replaced if it exists.", show_default=False)],
    base: Annotated[Path | None, typer.Option("--base", help="Keep only what differs from this model.", show_default=False)] = None,
    half: Annotated[bool, typer.Option("--half", help="With --base: round what changed to float16, half the size.")] = False,
    compress: Annotated[bool, typer.Option("--compress", help="Compress what gets smaller; takes longer.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Keep a model in a snapshot: all of it, or what changed.

    With --base only what differs from that model is kept, which is small.

    \b
    Example: tailor snapshot Mine.mlmodel --base Drawing.mlmodel -o Mine.snap
    """
    check_writable(output)
    kept = MLModel(model)
    write_snapshot(output, take_snapshot(kept, base=MLModel(base) if base is not None else None, half=half), compress=compress)
    size = output.stat().st_size
    if as_json:
        print_json({"output": str(output), "size": size, "modelSize": kept.size, "base": str(base) if base is not None else None})
    else:
        what = f"what differs from {base.name}" if base is not None else "all of it"
        results().print(f"{output}: {file_size(size)}, {what} (the model has {file_size(kept.size)})", markup=False)
