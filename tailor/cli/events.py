"""``tailor events``: what happened at a daemon, and what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .asking import SHOWN, DaemonPlace, ask, local, plain_record
from .terminal import print_json, results

if TYPE_CHECKING:
    from tailor.client import Client, EventRecord

_PATIENCE = 600.0  # seconds: a machine that starts again


def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")] = False,
    after: Annotated[int | None, typer.Option("--after", min=0, help="Those behind this number.", show_default=False)] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=1000, help="Only so many of those that are kept.")] = 20,
    update: Annotated[
        str | None, typer.Option("--update", help="Only of this update: six or more of its digits.", show_default=False)
    ] = None,
    daemon: DaemonPlace = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show what happened at the daemon, the newest last.

    With --follow it goes on with what happens, until Ctrl-C. Where the connection
    breaks it is made again, and nothing that is kept is left out.

    \b
    Example: tailor events --follow
             tailor events --update 3f9a02 --json
    """

    def show(event: EventRecord) -> None:
        if as_json:
            print_json(plain_record(event), indent=None)
        else:
            results().print(in_words(event), markup=False, soft_wrap=True)

    async def look(client: Client) -> None:
        wanted = None if update is None else await client.find_update(update)
        past = await client.log(after=after, most=most, update=wanted)
        for event in past:
            show(event)
        if not follow:
            return
        # Behind what was shown, so that nothing gets lost in between; a page that was full is gone on with.
        last = past[-1].sequence if past and wanted is None else after if after is not None else await _newest(client)
        async for event in client.events(last, patience=_PATIENCE):
            if wanted in (None, event.update):
                show(event)

    try:
        ask(daemon, look)
    except KeyboardInterrupt:
        if not follow:
            raise


def in_words(event: EventRecord, seconds_only: bool = False) -> str:
    """One line: when, whose, what."""
    when = local(event.time, seconds=True)
    of = "/".join(part for part in (event.model, event.user) if part)
    told = event.text if not of or of in event.text else f"{of}: {event.text}"
    which = f"  ({event.update[:SHOWN]})" if event.update else ""
    return f"{when[11:] if seconds_only else when}  {told}{which}"


async def _newest(client: Client) -> int:
    """The number of the newest event that is kept."""
    found = await client.log(most=1)
    return found[-1].sequence if found else 0
