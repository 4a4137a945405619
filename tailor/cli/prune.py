"""``tailor prune``: remove versions that nobody needs any more, by a policy."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from tailor import MLModelStore, MLPruneReport

from .stores import KeyFile, StorePlace, made, short, store_at, whose
from .terminal import add_rows, file_size, print_json, results, table
from .work_done import WorkDone


def _keep(name: str, what: str) -> Any:
    return typer.Option(f"--keep-{name}", min=1, metavar="N", help=what, show_default=False)


def prune(
    store: StorePlace = None,
    key_file: KeyFile = None,
    keep_last: Annotated[int | None, _keep("last", "The newest N versions.")] = None,
    keep_hourly: Annotated[int | None, _keep("hourly", "The newest of each of N hours.")] = None,
    keep_daily: Annotated[int | None, _keep("daily", "The newest of each of N days.")] = None,
    keep_weekly: Annotated[int | None, _keep("weekly", "The newest of each of N weeks.")] = None,
    keep_monthly: Annotated[int | None, _keep("monthly", "The newest of each of N months.")] = None,
    keep_yearly: Annotated[int | None, _keep("yearly", "The newest of each of N years.")] = None,
    grace: Annotated[float, typer.Option("--grace", min=0, help="What was written in the last so many hours stays.")] = 24,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would go, and remove nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what went as JSON.")] = False,
) -> None:
    """Remove versions that nobody needs any more, by a policy.

    What no --keep-... option asks for goes, of each model, user and branch by
    itself; it stays in the log, but cannot be restored. The last version and
    what has a tag always stay. What interrupted work has left goes too;
    without any of the options that is all.

    \b
    Example: tailor prune --keep-last 3 --keep-daily 7 --keep-weekly 4
             tailor prune --keep-monthly 12 --dry-run
    """
    at = store_at(store, key_file)

    async def work(opened: MLModelStore) -> MLPruneReport:
        with WorkDone("pruning", quiet=as_json) as done:
            return await opened.prune(
                last=keep_last,
                hourly=keep_hourly,
                daily=keep_daily,
                weekly=keep_weekly,
                monthly=keep_monthly,
                yearly=keep_yearly,
                grace=timedelta(hours=grace),
                dry_run=dry_run,
                progress=done.show,
            )

    report = at.run(work)
    if as_json:
        print_json({"store": str(at), "dryRun": dry_run, **report.as_dict()})
        return
    if report.pruned:
        rows = [(whose(one.model, one.user, one.branch), short(one), made(one), one.message) for one in report.pruned]
        title = "Versions that no --keep-... asks for" if dry_run else "Versions that were removed, for no --keep-... asks for them"
        results().print(add_rows(table(title, "model", "version", "made", "message"), rows))
    would = "would go" if dry_run else "went"
    young = f"; {report.young} objects stay, written in the last {grace:g} hours" if report.young else ""
    counted = f"{report.kept} versions stay, {len(report.pruned)} {would}: {report.objects} objects, {file_size(report.bytes)}"
    results().print(f"{at}: {counted}{young}", markup=False)
