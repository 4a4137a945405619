"""``tailor rollback``: make an older version the last one again."""

from __future__ import annotations

from typing import Annotated

import typer

from tailor import MLModelStore, MLVersion

from .stores import Branch, Device, KeyFile, StorePlace, Whose, name_and_user, short, store_at, this_device, whose
from .terminal import print_json, results


def rollback(
    of: Whose,
    to: Annotated[
        str, typer.Option("--to", metavar="VERSION", help="HEAD~1, a tag, or six hex digits or more of one.", show_default=False)
    ],
    store: StorePlace = None,
    key_file: KeyFile = None,
    branch: Branch = "main",
    message: Annotated[str, typer.Option("--message", "-m", help="Why.", show_default=False)] = "",
    device: Device = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the new version as JSON.")] = False,
) -> None:
    """Make an older version of a model the last one again.

    It becomes a new version; those in between stay in the log, and can be
    gone back to in turn.

    \b
    Example: tailor rollback Drawing/anna --to HEAD~1
             tailor restore Drawing/anna -o Mine.mlmodel
    """
    name, user = name_and_user(of)
    at = store_at(store, key_file)

    async def go(opened: MLModelStore) -> MLVersion:
        return await opened.rollback(name, user, to=to, branch=branch, message=message)

    version = at.run(go, device=this_device(device))
    if as_json:
        print_json({"store": str(at), **version.as_dict()})
    else:
        where = short(str(version.metadata["rollback"]))
        told = f"{whose(name, user, branch)}: version {short(version)} is like {where}"
        results().print(told, markup=False)
