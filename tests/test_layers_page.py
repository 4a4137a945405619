"""docs/layers.md agrees with the format and with the op table. ``python -m tests.test_layers_page`` writes it anew."""

from __future__ import annotations

from pathlib import Path

from tailor.kernels import OPS, Op
from tailor.runtime.format.schema.network_pb2 import NeuralNetworkLayer
from tailor.runtime.models.updatable import UPDATABLE_KINDS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "layers.md"

ENGINE = {
    "branch": "one of two blocks",
    "loop": "a block, a number of times or while a condition holds",
    "loopBreak": "leaves the loop",
    "loopContinue": "goes on with the loop's next turn",
    "copy": "one value under another name",
    "custom": "a class that you register under the layer's class name",
}
"""Kinds that the network engine runs itself, without a row in the op table."""

WEIGHTS = ("WeightParams", "LSTMWeightParams")

HEAD = """# The layers

Every kind of layer that a Core ML neural network may have, in the order of the format, and what this version does with it.
*Gradient*: layers that learn may come before it, and learn through it; the others are flat almost everywhere, and nothing comes back
through them. Through branches and loops gradients go back along the blocks that ran. *Together*: the examples of a batch are computed at
once; elsewhere one by one, because the size of the answer depends on values, because numbers are drawn, or because blocks run for each.
What needs no input is computed once for all. *Learns*: whose parameters an update can train: `Core ML` where Core ML can too, `tailor`
where only tailor can, [when it is asked to](updates.md#more-than-core-ml-trains).

A layer that is not supported does not keep a model from loading; predicting what depends on it raises `MLUnsupportedError`, which names
the layer.

This page is written by `python -m tests.test_layers_page`, and a test holds it to the op table.
"""


def kinds() -> list[str]:
    """The kinds of layers by their fields in the format; of activations, each function."""
    fields = NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields
    activation = NeuralNetworkLayer.DESCRIPTOR.fields_by_name["activation"].message_type
    functions = [f"activation.{field.name}" for field in activation.oneofs_by_name["NonlinearityType"].fields]
    found = [field.name for field in fields]
    at = found.index("activation")
    return [*found[:at], *functions, *found[at + 1 :]]


def learns(kind: str) -> str:
    """Who trains layers of this kind; nobody those without weights."""
    fields = NeuralNetworkLayer.DESCRIPTOR.fields_by_name
    function = kind.removeprefix("activation.")
    message = (fields["activation"].message_type.fields_by_name if function != kind else fields)[function].message_type
    if not any(field.message_type is not None and field.message_type.name in WEIGHTS for field in message.fields):
        return ""
    return "Core ML" if kind in UPDATABLE_KINDS else "tailor"


def row(kind: str, op: Op | None) -> str:
    if kind in ENGINE:
        return f"| `{kind}` | engine | | | | {ENGINE[kind]} |"
    if op is None:
        return f"| `{kind}` | no | | | | |"
    notes = [note for note, holds in (("draws random numbers", op.draws),) if holds]
    gradient, together = ("yes" if holds else "no" for holds in (op.backward is not None, op.batched is not None and not op.draws))
    return f"| `{kind}` | yes | {gradient} | {together} | {learns(kind)} | {', '.join(notes)} |"


def page() -> str:
    rows = "\n".join(row(kind, OPS.get(kind)) for kind in kinds())
    runs = sum(kind in OPS or kind in ENGINE for kind in kinds())
    count = f"{runs} of {len(kinds())} rows run: 157 kinds of layers, and the 13 functions of the kind `activation`."
    return f"{HEAD}\n{count}\n\n| layer | supported | gradient | together | learns | |\n|---|---|---|---|---|---|\n{rows}\n"


def test_the_format_has_158_kinds_of_layers_and_13_activations() -> None:
    assert len(kinds()) == 158 - 1 + 13
    assert len(set(kinds())) == len(kinds())


def test_every_row_of_the_op_table_is_a_layer_that_the_engine_does_not_run_itself() -> None:
    assert OPS.keys() <= set(kinds()) - ENGINE.keys()
    assert ENGINE.keys() <= set(kinds())


def test_the_page_agrees_with_the_op_table() -> None:
    """By its words: which kinds, which of them are supported; then to the letter."""
    written = PAGE.read_text(encoding="utf-8")
    cells = [[cell.strip() for cell in line.split("|")[1:3]] for line in written.splitlines() if line.startswith("| `")]
    assert {kind.strip("`"): said for kind, said in cells} == {
        kind: "yes" if kind in OPS else "engine" if kind in ENGINE else "no" for kind in kinds()
    }
    assert written == page(), "run python -m tests.test_layers_page"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
