"""``tailor rebase``: what was learned on an old base model, moved to a new one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tailor import MLModel, MLModelStore, MLRebaseReport, MLVersion

from .stores import Branch, Device, KeyFile, StorePlace, Whose, name_and_user, short, store_at, this_device, whose
from .terminal import add_rows, print_json, results, table


class Weights(StrEnum):
    """What becomes of weights that were learned."""

    DIFFERENCE = "difference"
    REPLACE = "replace"


def rebase(
    name: Whose,
    onto: Annotated[Path, typer.Argument(metavar="NEW_BASE", help="The base model that ships now.", show_default=False)],
    branch: Branch = "main",
    weights: Annotated[
        Weights, typer.Option("--weights", help="Add what was learned to the new base's weights, or replace them.")
    ] = Weights.DIFFERENCE,
    trust_features: Annotated[
        bool, typer.Option("--trust-features", help="Move examples although the models in front of the classifier are others.")
    ] = False,
    old_base: Annotated[
        Path | None, typer.Option("--old-base", help="What the model was made of, where it was kept without a base.", show_default=False)
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="What to say of it.", show_default=False)] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would move, and write nothing.")] = False,
    store: StorePlace = None,
    key_file: KeyFile = None,
    device: Device = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print what moved and what did not as JSON.")] = False,
) -> None:
    """Move what was learned onto a new version of the base model.

    Weights move to the layer of their name where it is the same but for its
    numbers; examples of nearest neighbours where all models in front are the
    same. What cannot move is listed with the reason, and is still in the
    versions before. Where nothing can move, nothing is written.

    \b
    Example: tailor rebase Drawing/alice Drawing-2.mlmodel --dry-run
             tailor rebase Mnist Mnist-2.mlmodel --weights replace
    """
    model, user = name_and_user(name)
    new, old = MLModel(onto), MLModel(old_base) if old_base is not None else None
    at = store_at(store, key_file)

    async def work(opened: MLModelStore) -> tuple[MLVersion, MLRebaseReport]:
        return await opened.rebase(
            model,
            user,
            onto=new,
            old_base=old,
            branch=branch,
            weights=weights.value,
            trust_features=trust_features,
            message=message,
            dry_run=dry_run,
        )

    version, report = at.run(work, device=this_device(device))
    if as_json:
        print_json({"version": version.as_dict(), **report.as_dict(), "dryRun": dry_run})
        return
    moved = [("moved", *row) for row in report.moved.items()]
    left = [("left behind", *row) for row in report.left.items()]
    if moved or left:
        results().print(add_rows(table("", "", "what", "how, or why not"), [*moved, *left]))
    count = f"{len(moved)} moved, {len(left)} left behind" if moved or left else "there was nothing to move"
    now = f"stays at {short(version)}" if dry_run or not (moved or left) else f"is now at {short(version)}, on {onto.name}"
    results().print(f"{whose(model, user, branch)}: {count}; {now}", markup=False)
