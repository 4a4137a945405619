"""``tailor daemon register`` and ``models``: the models that a daemon personalises."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..asking import DaemonPlace, Json, ask, local, plain_record
from ..terminal import add_rows, file_size, print_json, results, table


def register(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .mlmodel file.", show_default=False)],
    name: Annotated[str | None, typer.Option("--name", help="What to call it. [default: as the file]", show_default=False)] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Another model of this name may be there; its users keep what they have.")
    ] = False,
    daemon: DaemonPlace = None,
    as_json: Json = False,
) -> None:
    """Register a model, to be personalised for its users.

    The daemon keeps the file's content: the file may change or go afterwards.

    \b
    Example: tailor daemon register Drawing.mlmodel
    """
    record = ask(daemon, lambda client: client.register(model, name, replace=replace))
    if as_json:
        print_json(plain_record(record))
    else:
        told = "takes examples" if record.is_updatable else "only predicts: it is not updatable"
        results().print(f"{record.name}: registered, {file_size(record.size)}; {told}", markup=False)


def models(daemon: DaemonPlace = None, as_json: Json = False) -> None:
    """List the models that are registered.

    \b
    Example: tailor daemon models
    """
    records = ask(daemon, lambda client: client.models())
    if as_json:
        print_json({"models": plain_record(records)})
    elif not records:
        results().print("no model is registered yet: 'tailor daemon register MODEL.mlmodel'", soft_wrap=True)
    else:
        rows = [
            (one.name, one.kind, file_size(one.size), one.users, "yes" if one.is_updatable else "no", local(one.registered_at))
            for one in records
        ]
        results().print(add_rows(table("", "model", "kind", "size", "users", "updatable", "registered"), rows))
