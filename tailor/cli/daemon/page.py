"""``tailor daemon page``: where the web page is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailor import MLModelError

from ..asking import DaemonPlace, Json, ask
from ..terminal import print_json

READ, FULL = "token-read", "token"


def page(
    full: Annotated[bool, typer.Option("--full", help="With the token that may change things, not only look.")] = False,
    daemon: DaemonPlace = None,
    as_json: Json = False,
) -> None:
    """Print the address of the daemon's web page, with its token.

    Whoever has the address may look; with --full, may do everything. The page
    needs a port: [http] port in the daemon's settings.

    \b
    Example: xdg-open "$(tailor daemon page)"
    """
    status = ask(daemon, lambda client: client.status())
    addresses = [place for place in status.listening if place.startswith("http://")]
    if not addresses:
        raise MLModelError("page: expected a daemon that listens on a port ([http] port in its settings), got one that has only a socket")
    token = (Path(status.folder) / (FULL if full else READ)).read_text(encoding="ascii").strip()
    address = f"{addresses[0].rstrip('/')}/#token={token}"
    if as_json:
        print_json({"address": address})
    else:
        print(address)
