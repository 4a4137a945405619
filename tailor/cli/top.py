"""``tailor top``: a daemon at work, as it goes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer
from rich.live import Live

from .asking import DaemonPlace, ask, plain_record, said
from .terminal import print_json, results
from .top_view import EVENTS, ROWS, View, drawn

if TYPE_CHECKING:
    from tailor.client import Client, EventRecord

OPEN: tuple[Any, ...] = ("running", "committing", "waiting", "paused")
_SECOND = 1.0
_QUIET = 10.0  # seconds after which all is asked for again, though nothing was heard
_PATIENCE = 600.0  # seconds: a machine that starts again
_FORECASTS = 4
_STOPPING = 503


def top(
    once: Annotated[bool, typer.Option("--once", help="Show it once; so it is where stdout is no terminal.")] = False,
    daemon: DaemonPlace = None,
    as_json: Annotated[bool, typer.Option("--json", help="Show it once, as JSON.")] = False,
) -> None:
    """Watch the daemon at work, until Ctrl-C.

    Lanes, updates with their losses, what waits and why, and events. It listens
    to the daemon's events, and asks for more at most once a second.

    \b
    Example: tailor top
    """
    console = results()
    if as_json:
        view = ask(daemon, _first)
        print_json(
            {
                "status": plain_record(view.status),
                "updates": [{**plain_record(one), "why": view.why.get(one.identifier, "")} for one in view.updates],
                "events": plain_record(list(view.events)),
            }
        )
    elif once or not console.is_terminal:
        console.print(drawn(ask(daemon, _first)))
    else:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            try:
                ask(daemon, lambda client: _watch(client, lambda view: live.update(drawn(view), refresh=True)))
            except KeyboardInterrupt:
                return


async def look(client: Client, events: deque[EventRecord], before: View | None = None) -> View:
    """What there is to see now. Of an update that stays as it was, why it waits is not asked for again."""
    status = await client.status()
    updates = await client.updates(states=OPEN, most=ROWS) if any(status.updates.values()) else []
    updates.sort(key=lambda one: OPEN.index(one.state))
    known = {} if before is None else {one.identifier: one.state for one in before.updates}
    why: dict[str, str] = {}
    forecasts = 0
    for one in updates:
        if one.state == "running" and forecasts < _FORECASTS:
            forecasts += 1
            why[one.identifier] = said((await client.forecast(one.identifier)).text)
        elif before is not None and known.get(one.identifier) == one.state and not before.is_stale:
            why[one.identifier] = before.why.get(one.identifier, "")
        else:
            why[one.identifier] = said((await client.why(one.identifier)).text)
    return View(status, updates, why, events)


async def _first(client: Client) -> View:
    return await look(client, deque(await client.log(most=EVENTS), maxlen=EVENTS))


async def _watch(client: Client, show: Any) -> None:
    """Shows what there is to see, as it changes, until it is cancelled."""
    from tailor.client import MLDaemonError

    view = await _first(client)
    heard = anyio.Event()

    async def listen() -> None:
        nonlocal heard
        last = view.events[-1].sequence if view.events else 0
        async for event in client.events(last, patience=_PATIENCE):
            if event.kind != "update_progress":
                view.events.append(event)
            heard.set()

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        while True:
            show(view)
            await anyio.sleep(_SECOND)
            with anyio.move_on_after(_QUIET - _SECOND) as waiting:
                await heard.wait()
            heard = anyio.Event()
            try:
                view = await look(client, view.events, view.aged(waiting.cancelled_caught))
            except MLDaemonError as error:
                if error.kind not in ("connection", "timeout") and error.status != _STOPPING:
                    raise
                view = view.without_daemon(str(error))
