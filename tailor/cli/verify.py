"""``tailor verify``: is everything in a store there, and undamaged?"""

from __future__ import annotations

from typing import Annotated

import typer

from tailor import MLModelStore, VerifyReport

from .failures import ExitCode
from .stores import KeyFile, StorePlace, store_at
from .terminal import add_rows, file_size, print_json, results, table
from .work_done import WorkDone


def verify(
    store: StorePlace = None,
    key_file: KeyFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Read every byte of a store, and say what is damaged or missing.

    Nothing is changed. The exit code is 1 where something is wrong: copies of
    it elsewhere can be synced back.

    \b
    Example: tailor verify
             tailor verify --store /mnt/backup --json
    """
    at = store_at(store, key_file)

    async def check(opened: MLModelStore) -> VerifyReport:
        with WorkDone("verifying", quiet=as_json) as done:
            return await opened.verify(progress=done.show)

    report = at.run(check)
    if as_json:
        problems = [{"key": problem.key, "what": problem.what} for problem in report.problems]
        counts = {name: getattr(report, name) for name in ("objects", "bytes", "heads", "tags")}
        print_json({"store": str(at), "whole": report.whole, **counts, "unreferenced": len(report.unreferenced), "problems": problems})
    else:
        if report.problems:
            results().print(add_rows(table("", "what", "is wrong"), [(problem.key, problem.what) for problem in report.problems]))
        wrong = f"{len(report.problems)} problems" if report.problems else "all of it whole"
        counted = f"{report.heads} heads, {report.tags} tags, {report.objects} objects, {file_size(report.bytes)}"
        results().print(f"{at}: {counted}: {wrong}", markup=False)
    if report.problems:
        raise typer.Exit(ExitCode.FAILED)
