"""``tailor export`` and ``tailor import``: what a store keeps, in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailor import ExportReport, MLImported, MLModelStore

from .outputs import check_writable
from .stores import KeyFile, StorePlace, name_and_user, short, store_at, whose
from .terminal import add_rows, file_size, print_json, results, table
from .work_done import WorkDone


def export(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; replaced if it exists.", show_default=False)],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME[/USER]]...", help="Only these; of all users without /USER.", show_default=False)
    ] = None,
    store: StorePlace = None,
    key_file: KeyFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write what a store keeps to one file, with all of its past.

    The file is not encrypted, whatever the store is; only its owner can read
    it. 'tailor import' takes it over into another store.

    \b
    Example: tailor export models.tailor
             tailor export anna.tailor Drawing/anna Mnist/anna
    """
    check_writable(output)
    wanted = [(name_and_user(one)[0], name_and_user(one)[1] if "/" in one else None) for one in names] if names else None
    at = store_at(store, key_file)

    async def work(opened: MLModelStore) -> ExportReport:
        with WorkDone("exporting", quiet=as_json) as done:
            return await opened.export_to(output, wanted, progress=done.show)

    report = at.run(work)
    if as_json:
        counts = {name: getattr(report, name) for name in ("heads", "tags", "objects")}
        print_json({"store": str(at), "output": str(output), "size": report.bytes, **counts})
    else:
        counted = f"{report.heads} heads, {report.tags} tags, {report.objects} objects"
        results().print(f"{output}: {counted}, {file_size(report.bytes)}", markup=False)


def import_(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="What 'tailor export' wrote.", show_default=False)],
    store: StorePlace = None,
    key_file: KeyFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what became of each name as JSON.")] = False,
) -> None:
    """Take over into a store what 'tailor export' wrote.

    All of the file is checked first. Where both sides have versions that the
    other lacks, nothing is put aside: the file's become a branch of their
    own, for 'tailor merge'.

    \b
    Example: tailor import models.tailor --store /mnt/backup
    """
    at = store_at(store, key_file, create=True)

    async def work(opened: MLModelStore) -> list[MLImported]:
        with WorkDone("importing", quiet=as_json) as done:
            return await opened.import_from(archive, progress=done.show)

    rows = at.run(work)
    if as_json:
        print_json({"store": str(at), "heads": [row.as_dict() for row in rows]})
    else:
        told = [(whose(row.model, row.user, row.branch), short(row.version), row.outcome, row.beside) for row in rows]
        results().print(add_rows(table("", "model", "version", "is here", "as branch"), told))
