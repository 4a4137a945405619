"""``tailor tag``: names for single versions, which pruning leaves alone."""

from __future__ import annotations

from typing import Annotated

import typer

from tailor import MLModelStore

from .stores import Branch, KeyFile, StorePlace, Whose, name_and_user, short, store_at
from .terminal import add_rows, print_json, results, table


def tag(
    of: Whose,
    name: Annotated[str | None, typer.Argument(metavar="[TAG]", help="The tag; without it, all are shown.", show_default=False)] = None,
    version: Annotated[str, typer.Option("--version", help="HEAD~1, a tag, or six hex digits or more of one.")] = "HEAD",
    remove: Annotated[bool, typer.Option("--remove", help="Take the tag away; its version stays.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Also where another version has it.")] = False,
    store: StorePlace = None,
    key_file: KeyFile = None,
    branch: Branch = "main",
    as_json: Annotated[bool, typer.Option("--json", help="Print all tags as JSON.")] = False,
) -> None:
    """Give a version a name of its own, or show the tags there are.

    \b
    Example: tailor tag Drawing/anna before-summer
             tailor tag Drawing/anna before-summer --remove
             tailor restore Drawing/anna --version before-summer -o Old.mlmodel
    """
    model, user = name_and_user(of)

    async def work(opened: MLModelStore) -> dict[str, str]:
        if name is not None and remove:
            await opened.untag(model, user, name)
        elif name is not None:
            await opened.tag(model, user, name, version, branch=branch, replace=replace)
        return await opened.tags(model, user)

    tags = store_at(store, key_file).run(work)
    if as_json:
        print_json({"tags": tags})
    elif tags:
        results().print(add_rows(table("", "tag", "version"), [(one, short(identifier)) for one, identifier in tags.items()]))
    else:
        results().print("no tags")
