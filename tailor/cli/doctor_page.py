"""The page that ``tailor doctor`` prints: readable in 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from tailor import MLRepair, MLTrainability

from .terminal import add_rows, results, table

_SHOWN_LAYERS = 20


def print_trainability(found: MLTrainability) -> None:
    """Prints what keeps a model from being updated, and its layers with parameters, those nearest to its end."""
    console = results()
    console.print(f"{found.model}  {found.kind}", markup=False)
    rows = [
        ("Core ML would update it", "yes" if found.accepted_by_core_ml else "no"),
        ("tailor updates it", "yes" if found.accepted_by_tailor else "no"),
        ("loss", found.loss),
        *([("its last model", found.learner)] if found.learner else []),
    ]
    console.print(add_rows(table("", "", ""), rows))
    if found.findings:
        told = [(one.severity.value, f"{one.where}: expected {one.expected}, got {one.got}", one.rule) for one in found.findings]
        console.print()
        console.print(add_rows(table("Findings", "", "what", "rule"), told))
    if found.layers:
        last = found.layers[-_SHOWN_LAYERS:]
        names = [one.name + (" *" if one.marked else "") for one in last]
        layers = [
            (name, one.kind, one.parameters, one.core_ml or "yes", one.tailor or "yes") for name, one in zip(names, last, strict=True)
        ]
        marks = ", * marked as updatable" if any(one.marked for one in last) else ""
        console.print()
        title = f"Layers with parameters: {len(found.layers)}{marks}"
        console.print(add_rows(table(title, "name", "kind", "numbers", "Core ML can train it", "tailor can"), layers))
        if len(last) < len(found.layers):
            console.print(f"and {len(found.layers) - len(last)} before them: --json gives all")


def print_repairs(repairs: Sequence[MLRepair]) -> None:
    """Prints what was repaired, and how far outputs are apart."""
    rows = [("done" if one.applied else "not done", one.name, _about(one)) for one in repairs]
    results().print(add_rows(table("Repairs", "", "repair", "of"), rows or [("", "none was needed", "")]))
    results().print()


def _about(repair: MLRepair) -> str:
    told = "" if repair.difference is None else f" (outputs {repair.difference:.1g} apart)"
    return f"{', '.join(repair.layers)}{told}{': ' if repair.remark else ''}{repair.remark}"
