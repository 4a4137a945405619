"""``tailor merge``: what two devices or branches learned apart, in one model."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tailor import MLMergeReport, MLModelStore, MLUpdateGuard, MLVersion

from .failures import ExitCode
from .guard import guard_of, verdict_table
from .stores import Branch, Device, KeyFile, StorePlace, Whose, name_and_user, short, store_at, this_device, whose
from .terminal import print_json, results


class Policy(StrEnum):
    """The policies of ``MLMergePolicy`` that have a name."""

    AVERAGE = "average"
    LATEST = "latest"
    BRANCHES = "branches"


def merge(
    name: Whose,
    others: Annotated[list[str], typer.Argument(metavar="OTHER...", help="The branches or versions to merge with it.", show_default=False)],
    branch: Branch = "main",
    policy: Annotated[Policy, typer.Option("--policy", help="What becomes of networks that were trained apart.")] = Policy.AVERAGE,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", help="Data by which the merged model may not be worse than the best of them.", show_default=False),
    ] = None,
    margin: Annotated[
        float | None, typer.Option("--margin", help="By how much it may be worse. [default: 0]", min=0, show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would come of it, and write nothing.")] = False,
    store: StorePlace = None,
    key_file: KeyFile = None,
    device: Device = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print what came of it as JSON.")] = False,
) -> None:
    """Merge what was learned apart into one version.

    Of nearest neighbours all examples that any side knows are kept, less those
    that any has forgotten. Networks are averaged by how many examples each has
    learned from, or as --policy says: the latest, or both kept as branches.
    With --reference a merge that makes the model worse is refused, the others
    are kept as branches, and the exit code is 1.

    \b
    Example: tailor merge Drawing/alice tablet
             tailor merge Mnist 3f9a02 --policy latest --reference digits/
    """
    model, user = name_and_user(name)
    if margin is not None and reference is None:
        raise typer.BadParameter("expected --reference with it, got none", param_hint="--margin")
    at = store_at(store, key_file)

    async def work(opened: MLModelStore) -> MLMergeReport:
        guard: MLUpdateGuard | None = None
        if reference is not None:
            guard = guard_of(None, reference, margin, None, (await opened.model(model, user, branch=branch)).description)
        return await opened.merge(model, user, others, branch=branch, policy=policy.value, guard=guard, dry_run=dry_run)

    report = at.run(work, device=this_device(device))
    refused = report.verdict is not None and not report.verdict.accepted
    if as_json:
        print_json({**report.as_dict(), "dryRun": dry_run})
    else:
        if report.verdict is not None and not refused:
            results().print(verdict_table(report.verdict))
        results().print(_told(report, whose(model, user, branch), dry_run), markup=False)
    if refused:
        raise typer.Exit(ExitCode.FAILED)


def _told(report: MLMergeReport, who: str, dry_run: bool) -> str:
    """What came of it, in words."""
    would = "would be " if dry_run else ""
    match report.outcome:
        case "nothing":
            return f"{who}: nothing to merge, {short(report.version)} has it all"
        case "forwarded":
            return f"{who}: {would or 'is '}now at {short(report.version)}, which came of it"
        case "merged":
            return (
                f"{who}: {would}merged{_into(report.version)} from {' and '.join(map(short, report.version.parents))}{_how(report.version)}"
            )
        case "branches":
            why = f"the merge was refused: {report.verdict.reason}" if report.verdict is not None else "nothing was merged"
            kept = ", ".join(f"{short(version)} as branch {branch!r}" for branch, version in report.branches.items())
            return f"{who}: stays at {short(report.version)}; {why}; {f'{would}kept: {kept}' if kept else 'each is on a branch already'}"


def _into(version: MLVersion) -> str:
    return f" into {short(version)}" if version.identifier else ""


def _how(version: MLVersion) -> str:
    told = version.metadata["merge"]
    match told["policy"]:
        case "union":
            return ": examples joined"
        case "latest":
            return f": the weights of the latest, {short(told['chosen'])}"
        case _:
            return f": weights averaged ({', '.join(f'{short(side)} {share:.0%}' for side, share in told['weights'].items())})"
