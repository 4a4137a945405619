"""What the commands that ask a daemon share: where it is, whose examples are meant, and asking."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import anyio
import typer

from tailor import MLModelError

if TYPE_CHECKING:  # it needs the extra 'daemon'; what asks no daemon goes without
    from tailor.client import Client, UpdateRecord

T = TypeVar("T")

SHOWN = 12
"""Digits of an identifier that people are shown; a command takes six or more."""
PAGE = 1000

DaemonPlace = Annotated[
    str | None,
    typer.Option(
        "--daemon",
        "--socket",
        metavar="PLACE",
        help="Where the daemon listens: a socket, or http://127.0.0.1:PORT. [default: TAILOR_DAEMON, or the user's socket]",
        show_default=False,
    ),
]
Whose = Annotated[str, typer.Argument(metavar="MODEL[/USER]", help="Which model, as it is registered.", show_default=False)]
User = Annotated[str | None, typer.Argument(metavar="USER", help="Whose, unless that stands behind MODEL/.", show_default=False)]
Update = Annotated[str, typer.Argument(metavar="UPDATE", help="Its identifier, or six or more of its digits.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print what is known as JSON.")]


def ask(place: str | None, work: Callable[[Client], Awaitable[T]]) -> T:
    """What ``work`` gives for a client of the daemon at ``place``. Raises ``MLDaemonError``, and what ``work`` raises."""
    try:
        from tailor.client import Client
    except ImportError as error:
        raise MLModelError(str(error)) from None

    async def run() -> T:
        async with Client(place) as client:
            return await work(client)

    return anyio.run(run)


def model_and_user(whose: str, user: str | None) -> tuple[str, str]:
    """``MODEL USER``, or ``MODEL/USER``. Raises ``typer.BadParameter`` where one is missing, or one is given twice."""
    model, _, behind = whose.partition("/")
    if bool(behind) is (user is not None) or not model:
        raise typer.BadParameter(
            f"expected MODEL USER or MODEL/USER, got {whose if user is None else f'{whose} {user}'!r}", param_hint="MODEL"
        )
    return model, behind or str(user)


def plain_record(record: Any) -> Any:
    """A record of the client, or a list of them, as JSON has it."""
    import msgspec

    return msgspec.to_builtins(record)


def local(time: datetime | None, seconds: bool = False) -> str:
    """A time in the local zone, to the minute or the second; empty where there is none."""
    return "" if time is None else f"{time.astimezone():{'%Y-%m-%d %H:%M:%S' if seconds else '%Y-%m-%d %H:%M'}}"


def said(text: str) -> str:
    """What is told of an update, without whom it is about."""
    return re.sub(r"^(update [0-9a-f]+|[^ :]+/[^ :]+): ", "", text)


def progress_of(update: UpdateRecord) -> str:
    """How far an update is: its epochs and the last loss."""
    parts = [] if update.epoch is None else [f"epoch {update.epoch + 1}"]
    parts += [f"loss {update.losses[-1]:.4g}"] if update.losses else []
    return ", ".join(parts)


def sparkline(values: Sequence[float], width: int = 16) -> str:
    """Numbers as bars of eight heights, the least and the greatest as the lowest and the highest; of many, so many spread over all."""
    known = [value for value in values if value == value and abs(value) != float("inf")]
    if not known:
        return ""
    if len(known) > width:
        known = [known[round(place * (len(known) - 1) / (width - 1))] for place in range(width)]
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    return "".join("▁▂▃▄▅▆▇█"[round(7 * (value - low) / span)] for value in known)
