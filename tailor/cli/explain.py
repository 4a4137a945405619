"""``tailor explain``: which of the examples taught decide on an answer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tailor import MLModel

from .answers import in_words
from .predict import one_example
from .terminal import add_rows, print_json, results, table


def explain(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A nearest neighbour classifier.", show_default=False)],
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input",
            "-i",
            metavar="NAME=VALUE",
            help="One input of the example, as 'tailor predict' takes it. Once for each input.",
            show_default=False,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the neighbours as JSON.")] = False,
) -> None:
    """Show which examples vote on an answer, nearest first.

    MODEL is a nearest neighbour classifier, or a pipeline that ends in one.
    Distances are squared; weights are shares of the votes.

    \b
    Example: tailor explain Mine.mlmodel --input drawing=cat.png
    """
    loaded = MLModel(model)
    found = loaded.explain(one_example(loaded.description.input_descriptions_by_name, inputs))
    if as_json:
        rows = [{**asdict(one), "time": one.time.isoformat() if one.time is not None else None} for one in found]
        print_json({"neighbors": rows})
        return
    if not found:
        results().print("no neighbours: the model knows no examples, and answers with its default label")
        return
    cells = [
        (one.label, in_words(one.weight), in_words(one.distance), one.id or "", one.source or "", one.time.isoformat() if one.time else "")
        for one in found
    ]
    shown = table("", "label", "weight", "distance", "id", "source", "time")
    results().print(add_rows(shown, cells))
