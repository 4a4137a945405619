"""``tailor daemon pause``, ``resume``, ``cancel`` and ``set``: an update that is under way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from ..asking import DaemonPlace, Json, Update, ask
from ..settings import read_settings
from .update import show_update

if TYPE_CHECKING:
    from tailor.client import Client, UpdateRecord


def pause(update: Update, daemon: DaemonPlace = None, as_json: Json = False) -> None:
    """Pause an update, with a checkpoint that it goes on from.

    \b
    Example: tailor daemon pause 3f9a02
    """
    _control(update, daemon, as_json, lambda client, identifier: client.pause(identifier))


def resume(update: Update, daemon: DaemonPlace = None, as_json: Json = False) -> None:
    """Resume an update that was paused.

    \b
    Example: tailor daemon resume 3f9a02
    """
    _control(update, daemon, as_json, lambda client, identifier: client.resume(identifier))


def cancel(update: Update, daemon: DaemonPlace = None, as_json: Json = False) -> None:
    """Cancel an update.

    The model stays as it was, the examples are set aside.

    \b
    Example: tailor daemon cancel 3f9a02
             tailor daemon update Drawing anna --again
    """
    _control(update, daemon, as_json, lambda client, identifier: client.cancel(identifier))


def set_parameters(
    update: Update,
    settings: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="Parameters, as 'tailor inspect' lists them.", show_default=False)
    ],
    daemon: DaemonPlace = None,
    as_json: Json = False,
) -> None:
    """Change parameters of an update that is under way.

    They hold from its next mini-batch on.

    \b
    Example: tailor daemon set 3f9a02 learningRate=0.01
    """
    parameters = {str(key): value for key, value in read_settings(settings).items()}
    _control(update, daemon, as_json, lambda client, identifier: client.set_parameters(identifier, parameters))


def _control(update: str, daemon: str | None, as_json: bool, does: Callable[[Client, str], Awaitable[UpdateRecord]]) -> None:
    async def go(client: Client) -> UpdateRecord:
        return await does(client, await client.find_update(update))

    show_update(ask(daemon, go), as_json)
