"""A web service in which everybody has a model of their own, with the daemon beside it: this is HTTP, the daemon does all the rest.

Run by ``python examples/daemon_service.py [MODEL.mlmodel] [--folder FOLDER] [--port 8000]``, with ``pip install 'tailor[daemon]'``. It
starts a daemon that keeps what it has in the folder; a service in earnest would ask one that the system started, by ``Client()``.
Without a model it makes a small one: ``x``, two numbers, goes in, and comes out as "in" a circle or "out" of it. Then, for example:

    curl localhost:8000/people/ann/predictions -d '{"inputs": {"x": [0.1, 0.2]}}'
    curl localhost:8000/people/ann/examples -d '{"batch": "monday", "examples": [
        {"x": [0, 0.1], "classLabel": "in"}, {"x": [1, 1], "classLabel": "out"}, {"x": [-1, 0.9], "classLabel": "out"}]}'
    curl -N localhost:8000/people/ann/events                   # what happens, as server-sent events
    curl localhost:8000/people/ann                             # how many examples are where, and what comes next
    curl -X POST localhost:8000/people/ann/undo                # the version before the last one
    curl -X DELETE localhost:8000/people/ann/examples/monday-0 # an example is forgotten

What was answered with 202 is on the disk. With a batch of its own a request can be made again: nothing counts twice. The service itself
keeps nothing: any number of them can ask one daemon, and be stopped and started as they like. ``web_service.py`` does without a daemon.
"""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import msgspec
import uvicorn
from anyio.abc import Process
from daemon_process import daemon_in
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from web_service import body_of, circle, plain

from tailor import MLModel
from tailor.client import Client, MLDaemonError, NewExample, Record

SETTINGS = "[updates]\nexamples = 3\n[examples]\nkeep_learned = true\n"


def application(client: Client, model: str) -> Starlette:
    """The service, for any server and event loop. ``client`` asks the daemon in which ``model`` is registered."""

    async def predict(request: Request) -> Response:
        user, given = user_of(request), await body_of(request)
        told = await client.predict(model, await known(user), [given.get("inputs", {})])
        return JSONResponse({"version": told.version, **plain(told.outputs[0])})

    async def known(user: str) -> str | None:
        """A user that the daemon knows; for all others the model answers as it was registered."""
        try:
            return (await client.user(model, user)).user
        except MLDaemonError as error:
            if error.status == 404:
                return None
            raise

    async def add(request: Request) -> Response:
        user, given = user_of(request), await body_of(request)
        rows, batch = given.get("examples"), given.get("batch")
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise HTTPException(400, "examples: expected a list of objects by feature names")
        return answer(await client.add_examples(model, user, [NewExample(features=row) for row in rows], batch), 202)

    async def look(request: Request) -> Response:
        return answer(await client.user(model, user_of(request)))

    async def undo(request: Request) -> Response:
        return answer(await client.rollback(model, user_of(request), "HEAD~1"))

    async def forget(request: Request) -> Response:
        return answer(await client.forget(model, user_of(request), ids=[request.path_params["example"]]))

    async def follow(request: Request) -> Response:
        user = user_of(request)

        async def events() -> AsyncIterator[str]:
            async with aclosing(client.events(patience=0)) as stream:
                try:
                    async for event in stream:
                        if event.user == user:
                            yield f"id: {event.sequence}\nevent: {event.kind}\ndata: {json.dumps(msgspec.to_builtins(event))}\n\n"
                except MLDaemonError:  # it has ended, and so does the stream; browsers ask again by themselves
                    return

        return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    return Starlette(
        routes=[
            Route("/people/{user}", look),
            Route("/people/{user}/predictions", predict, methods=["POST"]),
            Route("/people/{user}/examples", add, methods=["POST"]),
            Route("/people/{user}/examples/{example}", forget, methods=["DELETE"]),
            Route("/people/{user}/undo", undo, methods=["POST"]),
            Route("/people/{user}/events", follow),
        ],
        exception_handlers={MLDaemonError: refused, HTTPException: refused},
    )


def user_of(request: Request) -> str:
    """Whose model it is. Who may ask for it is for the application to see to: here everybody may."""
    return str(request.path_params["user"])


def answer(record: Record, status: int = 200) -> Response:
    """What the daemon told, as it is."""
    return Response(msgspec.json.encode(record), status, media_type="application/json")


async def refused(request: Request, error: Exception) -> Response:
    """What the daemon refused is the caller's to mend; that it does not answer is not."""
    status = error.status if isinstance(error, MLDaemonError) else error.status_code if isinstance(error, HTTPException) else 500
    told = error.detail if isinstance(error, HTTPException) else str(error)
    return JSONResponse({"error": told}, status or 503)


class Server(uvicorn.Server):
    """Has the daemon end first, and so all who follow what happens: else it would wait for them."""

    def __init__(self, config: uvicorn.Config, daemon: Process) -> None:
        super().__init__(config)
        self._daemon = daemon

    async def shutdown(self, sockets: Any = None) -> None:
        self._daemon.terminate()
        await super().shutdown(sockets)


async def serve(model: MLModel, folder: Path, host: str, port: int) -> None:
    """The daemon, and the service in front of it, until SIGTERM or Ctrl-C."""
    async with daemon_in(folder, SETTINGS) as running:
        registered = await running.client.register(model.to_bytes(), model.name, replace=True)
        app = application(running.client, registered.name)
        await Server(uvicorn.Config(app, host=host, port=port), running.process).serve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", nargs="?", type=Path, help="a Core ML model; a small one is made where none is given")
    parser.add_argument("--folder", type=Path, default=Path("people"), help="where the daemon keeps what it has")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises it once more when it has ended: then the daemon is yet to end
        signal.signal(number, lambda number, frame: None)
    anyio.run(serve, MLModel(options.model) if options.model else circle(), options.folder.absolute(), options.host, options.port)


if __name__ == "__main__":
    main()
