"""``tailor why``: why an update, or a user's examples, are where they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from .asking import DaemonPlace, Json, User, ask, model_and_user, plain_record, said
from .terminal import print_json, results

if TYPE_CHECKING:
    from tailor.client import Client, Forecast, Why


def why(
    what: Annotated[
        str, typer.Argument(metavar="UPDATE|MODEL/USER", help="An update, by six or more of its digits, or a user.", show_default=False)
    ],
    user: User = None,
    daemon: DaemonPlace = None,
    as_json: Json = False,
) -> None:
    """Tell why an update, or a user's examples, are where they are.

    Of an update also when it will begin and end, as far as that can be told.

    \b
    Example: tailor why Drawing/anna
             tailor why 3f9a02
    """

    whom = model_and_user(what, user) if user is not None or "/" in what else None
    if whom is None and not re.fullmatch("[0-9a-f]{6,32}", what):
        raise typer.BadParameter(f"expected six or more digits (0-9, a-f) of an update, or MODEL/USER, got {what!r}", param_hint="UPDATE")

    async def look(client: Client) -> tuple[Why, Forecast | None]:
        if whom is not None:
            return await client.why_user(*whom), None
        identifier = await client.find_update(what)
        return await client.why(identifier), await client.forecast(identifier)

    told, forecast = ask(daemon, look)
    if as_json:
        print_json({**plain_record(told), "forecast": plain_record(forecast)})
        return
    console = results()
    first, *others = [reason.text for reason in told.reasons] or [said(told.text)]
    console.print(f"{told.subject}: {first}", markup=False)
    for other in others:
        console.print(f"  and {other}", markup=False)
    if forecast is not None and (forecast.begin or forecast.end):
        console.print(f"  {said(forecast.text)}", markup=False)
