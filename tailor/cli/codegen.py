"""``tailor codegen``: typed Python classes for one model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailor import MLModel
from tailor.persistence import write_atomically

from .classes import class_names, module_source
from .outputs import check_writable
from .terminal import print_json, results


def codegen(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model to write classes for.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The .py file to write; replaced if it exists.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write typed Python classes for a model.

    They are for the model, its input, its output and what it learns from, and
    are named by the model's file. Without --output the module is printed. It
    needs nothing but tailor.

    \b
    Example: tailor codegen Drawing.mlmodel -o drawing.py
    """
    if output is not None:
        check_writable(output)
    description = MLModel(model).description
    names, source = class_names(model.absolute(), description), module_source(model.absolute(), description)
    if output is not None:
        write_atomically(output, source.encode())
    if as_json:
        print_json({"classes": names, **({"source": source} if output is None else {"output": str(output)})})
    elif output is not None:
        results().print(f"{output}: {', '.join(names)}", markup=False)
    else:
        print(source, end="")
