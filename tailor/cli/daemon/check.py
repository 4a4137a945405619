"""``tailor daemon check``: whether a file of settings is right."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..asking import Json
from ..daemon_options import service_errors
from ..stores import StoreAt
from ..terminal import add_rows, print_json, progress, results, table

if TYPE_CHECKING:
    from tailor.daemon.configuration import Settings


def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The settings. [default: those that a daemon would find]", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a file of settings, and say what comes of it.

    What is wrong is told with its line, and the exit code is 78. Files that are
    not there are told, too: a daemon keeps a copy of each model.

    \b
    Example: tailor daemon check tailor.toml
    """
    with service_errors():
        from tailor.daemon.service import Asked

        asked = Asked(file)
        settings = asked.settings()
        places = asked.places(settings)
        store = str(StoreAt(places.store))  # without secrets
    missing = _missing(settings)
    if as_json:
        told = {"state": str(places.state), "store": store, "socket": str(places.socket)}
        print_json({"settings": None if asked.file is None else str(asked.file), **told, "missing": missing})
        return
    rows = [("settings", asked.file or "the defaults"), ("state", places.state), ("store", store), ("socket", places.socket)]
    results().print(add_rows(table("", "", ""), rows))
    for one in missing:
        progress().print(f"{one}: nothing is there", markup=False, soft_wrap=True)


def _missing(settings: Settings) -> list[str]:
    """Paths that the settings name, and that are not there."""
    named = [model.path for model in settings.models.values()] + [watch.folder for watch in settings.watch.values()]
    named += [remote.key_file for remote in settings.sync.remotes if remote.key_file is not None]
    return [path for path in named if not os.path.exists(path)]
