"""``tailor sync``: a store and another one, on a server or a disk, each with what the other has."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tailor import MLMergePolicy, MLModelStore, MLSynced, MLSyncReport

from .failures import ExitCode
from .stores import Device, KeyFile, StorePlace, short, store_at, this_device, whose
from .terminal import add_rows, file_size, print_json, results, table
from .work_done import WorkDone

MOST_ROWS = 20
"""More are only counted, but for those that somebody has to look after."""


class MergePolicy(StrEnum):
    """What becomes of what was learned apart."""

    AVERAGE = "average"
    LATEST = "latest"
    BRANCHES = "branches"
    NONE = "none"


POLICIES: dict[MergePolicy, MLMergePolicy | None] = {
    MergePolicy.AVERAGE: "average",
    MergePolicy.LATEST: "latest",
    MergePolicy.BRANCHES: "branches",
    MergePolicy.NONE: None,
}


def sync(
    remote: Annotated[str, typer.Argument(metavar="REMOTE", help="The other store: a folder, a file or a URL.", show_default=False)],
    store: StorePlace = None,
    push: Annotated[bool, typer.Option("--push", help="Only give the other store what it lacks.")] = False,
    pull: Annotated[bool, typer.Option("--pull", help="Only take what the other store has.")] = False,
    models: Annotated[list[str] | None, typer.Option("--model", help="Only of this model. Can be repeated.", show_default=False)] = None,
    users: Annotated[list[str] | None, typer.Option("--user", help="Only of this user. Can be repeated.", show_default=False)] = None,
    merge: Annotated[MergePolicy, typer.Option("--merge", help="What becomes of networks that were trained apart.")] = MergePolicy.AVERAGE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would move, and move nothing.")] = False,
    key_file: KeyFile = None,
    remote_key_file: Annotated[
        Path | None,
        typer.Option(
            "--remote-key-file",
            envvar="TAILOR_REMOTE_KEY_FILE",
            help="The key of REMOTE, if it is encrypted; otherwise TAILOR_REMOTE_PASSPHRASE, or you are asked.",
            show_default=False,
        ),
    ] = None,
    device: Device = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Bring a store and another one together.

    Each is given what it lacks. What both have gone on with is merged: of
    nearest neighbours all examples, of networks as --merge says; with none both
    stay as they are. Only what is new is moved. Interrupted, it goes on from
    there the next time. The exit code is 1 where something is left to look at.

    \b
    Example: tailor sync s3://bucket/models
             tailor sync /mnt/backup --push --model Drawing --user anna
    """
    if push and pull:
        raise typer.BadParameter("expected one of them, got both; without either it goes both ways", param_hint="--push / --pull")
    at = store_at(store, key_file, create=not push)
    other_at = store_at(remote, remote_key_file, create=not pull, passphrase="TAILOR_REMOTE_PASSPHRASE")
    if str(at) == str(other_at):
        raise typer.BadParameter(f"expected another store, got the same one, {at}", param_hint="REMOTE")

    async def work(opened: MLModelStore) -> MLSyncReport:
        async with other_at.opened() as other:
            with WorkDone("syncing", quiet=as_json) as done:
                return await opened.sync(
                    other,
                    "push" if push else "pull" if pull else "both",
                    models=models or None,
                    users=users or None,
                    merge=POLICIES[merge],
                    dry_run=dry_run,
                    progress=lambda event: done.show(event.done, event.total),
                )

    report = at.run(work, device=this_device(device))
    if as_json:
        told = report.as_dict()
        print_json({**told, "dryRun": told.pop("dry_run")})
    else:
        _show(report)
    if report.unsettled and not dry_run:
        raise typer.Exit(ExitCode.FAILED)


def _show(report: MLSyncReport) -> None:
    every = (*report.names, *report.tags)
    shown = every if len(every) <= MOST_ROWS else report.unsettled
    if shown:
        title = "What would become of them" if report.dry_run else "What became of them"
        results().print(add_rows(table(title, "model", "outcome", "version", "moved", ""), map(_row, shown)))
    counts = [*Counter(row.outcome for row in every).items(), ("equal from the start", report.equal)]
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts if count) or "nothing there"
    would = "would move" if report.dry_run else "moved"
    forgotten = f"; examples taken out of {len(report.forgotten)} versions" if report.forgotten else ""
    moved = f"{report.objects} objects {would}, {file_size(report.bytes)}"
    results().print(f"{report.here} and {report.there}: {told}; {moved}{forgotten}", markup=False)


def _row(row: MLSynced) -> tuple[str, ...]:
    versions = dict.fromkeys(short(one) for one in (row.here, row.there) if one is not None)
    return whose(row.model, row.user, row.branch), row.outcome, ", ".join(versions), file_size(row.bytes), row.reason
