"""``tailor doctor``: what keeps a model from being updated, and a repaired copy."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tailor import MLFindingSeverity, MLModel, MLRepairReport, MLTrainability, MLUpdateError

from .doctor_page import print_repairs, print_trainability
from .outputs import check_writable
from .settings import read_settings
from .terminal import file_size, print_json, results

_SEVERITIES = {
    MLFindingSeverity.CORE_ML_REFUSES: "coreML",
    MLFindingSeverity.TAILOR_REFUSES: "tailor",
    MLFindingSeverity.NOTE: "note",
}


def doctor(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .mlmodel file or .mlpackage folder.", show_default=False)],
    repair: Annotated[bool, typer.Option("--repair", help="Make a copy that can be updated, and write it to --output.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The repaired model to write; replaced if it exists.", show_default=False)
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option("--loss", help="categorical_cross_entropy or mean_squared_error; else what suits the output.", show_default=False),
    ] = None,
    loss_output: Annotated[
        str | None, typer.Option("--loss-output", metavar="NAME", help="The output that the loss is about.", show_default=False)
    ] = None,
    optimizer: Annotated[str | None, typer.Option("--optimizer", help="sgd or adam; else the model's, or sgd.", show_default=False)] = None,
    trainable: Annotated[
        list[str] | None,
        typer.Option(
            "--trainable",
            metavar="LAYER,...",
            help="The layers that learn; else those marked, or all that Core ML's gradients reach. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    dequantize: Annotated[bool, typer.Option("--dequantize", help="Store quantised weights of layers that learn as float32.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A new default value, allowed from then on. Can be repeated.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it all as one JSON object.")] = False,
) -> None:
    """Say what keeps a model from being updated, and repair it.

    With --repair a copy is written that can be updated, as far as that can be
    had: softmax and reshapes in a form that gradients pass, matrix products
    as inner products, a loss, an optimizer, marks. Each repair that changes
    how outputs are made is proven by equal outputs on random inputs.

    \b
    Example: tailor doctor Flowers.mlmodel
             tailor doctor Flowers.mlmodel --repair -o Updatable.mlmodel
                           --optimizer adam --trainable dense_1,dense_2
    """
    asked: dict[str, Any] = {"loss": loss, "output": loss_output, "optimizer": optimizer, "trainable": _names(trainable)}
    asked |= {"dequantize": dequantize, "parameters": read_settings(settings or [])}
    if not repair:
        if output is not None or any(asked.values()):
            raise typer.BadParameter("expected --repair with what a repaired model is to be like", param_hint="doctor")
        found = MLModel(model).trainability()
        if as_json:
            print_json(_facts(found))
        else:
            print_trainability(found)
        return
    if output is None:
        raise typer.BadParameter("expected a file for the repaired model", param_hint="--output")
    check_writable(output)
    made, report = MLModel(model).repaired(**asked)
    if not report.after.accepted_by_tailor:
        left = "; ".join(str(finding) for finding in report.after.findings)
        raise MLUpdateError(f"{model.name}: expected a model that can be updated after its repair, got one that cannot: {left}")
    made.write(output)
    if as_json:
        print_json({"output": str(output), "size": made.size, **_repaired(report)})
        return
    print_repairs(report.repairs)
    print_trainability(report.after)
    results().print(f"\n{output}: {file_size(made.size)}", markup=False)


def _names(given: list[str] | None) -> list[str] | None:
    """The names of layers in arguments, which may hold several, with commas between."""
    names = [name.strip() for argument in given or () for name in argument.split(",") if name.strip()]
    if given and not names:
        raise typer.BadParameter("expected names of layers, got none", param_hint="--trainable")
    return names or None


def _facts(found: MLTrainability) -> dict[str, Any]:
    """What ``--json`` shows of a diagnosis."""
    return {
        "model": found.model,
        "type": found.kind,
        "isUpdatable": found.marked,
        "acceptedByCoreML": found.accepted_by_core_ml,
        "acceptedByTailor": found.accepted_by_tailor,
        "learner": found.learner or None,
        "loss": found.loss,
        "findings": [asdict(one) | {"severity": _SEVERITIES[one.severity]} for one in found.findings],
        "layers": [
            {
                "name": one.name,
                "kind": one.kind,
                "parameters": one.parameters,
                "stored": one.stored,
                "isUpdatable": one.marked,
                "between": one.between,
                "coreML": one.core_ml or None,
                "tailor": one.tailor or None,
            }
            for one in found.layers
        ],
    }


def _repaired(report: MLRepairReport) -> dict[str, Any]:
    """What ``--json`` shows of a repair."""
    return {"repairs": [asdict(one) for one in report.repairs], "before": _facts(report.before), "after": _facts(report.after)}
