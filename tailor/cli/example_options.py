"""How commands are given examples, one at the command line or many in files, and where their answers go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_KINDS = "a number, text, the path of an image or .npy file, or JSON"


def _inputs(told: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option("--input", "-i", metavar="NAME=VALUE", help=told, show_default=False)
    return option


Inputs = Annotated[list[str] | None, _inputs(f"One input of one example: {_KINDS}. Once for each input.")]
TrainingInputs = Annotated[list[str] | None, _inputs(f"One training input of one example: {_KINDS}. Once for each.")]
Data = Annotated[Path | None, typer.Option("--data", help="Many examples: a folder of images, .npz, .csv or .jsonl.", show_default=False)]
Answers = Annotated[Path | None, typer.Option("--output", "-o", help="Write the answers here, a JSON object a line.", show_default=False)]
JsonAnswers = Annotated[bool, typer.Option("--json", help="Answers as JSON on stdout: one object, or with --data one a line.")]


def check_one_or_many(inputs: list[str] | None, data: Path | None, what: str = "input") -> None:
    """Raises ``typer.BadParameter`` unless one example is given or many are."""
    if (data is None) == (not inputs):
        raise typer.BadParameter(f"give either --input (once for each {what}) or --data", param_hint="--input / --data")
