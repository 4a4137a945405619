"""A web service in which everybody has a model of their own: it answers, and it learns from what they send.

Run by ``python examples/web_service.py [MODEL.mlmodel] [--folder FOLDER] [--port 8000]``, with ``pip install 'tailor[web]'``. Without a
model it makes a small one: ``x``, two numbers, goes in, and comes out as "in" a circle or "out" of it. Then, for example:

    curl localhost:8000/model
    curl localhost:8000/users/ann/predictions -d '{"inputs": {"x": [0.1, 0.2]}}'
    curl localhost:8000/users/ann/update -d '{"parameters": {"epochs": 100000}, "examples": [
        {"x": [0, 0.1], "classLabel": "in"}, {"x": [1, 1], "classLabel": "out"}, {"x": [-1, 0.9], "classLabel": "out"}]}'
    curl -N localhost:8000/users/ann/update/events            # how it goes, as server-sent events
    curl -X DELETE localhost:8000/users/ann/update

Predictions asked for at the same time are computed together, before updates; one whose client goes away is cancelled. Updates outlive
requests, and the process: SIGTERM or Ctrl-C suspends them with a checkpoint, ``kill -9`` leaves one of the last seconds, and the next start
takes them up again, to the same bits. ``personal_models.py`` does all of that; this is HTTP.

Starlette and not FastAPI: what goes in and comes out is described by the model, at run time, so that there is nothing for static types to
check; and Starlette is anyio all through, as tailor is. Only the last lines know of a server, which is uvicorn.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import logging
import math
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import uvicorn
from personal_models import PersonalModels, Update
from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tailor import MLBusyError, MLFeatureError, MLModel, MLModelError, MLTaskStateError, MLUpdateError
from tailor.building import NeuralNetworkBuilder, SgdParams, array_feature

USER = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MOST_BYTES = 1 << 20
PAUSE = 0.1
"""Seconds between two events of a stream, at least."""


def application(models: PersonalModels) -> Starlette:
    """Personal models as an ASGI application, for any server and event loop."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with models.opened():
            yield

    async def describe(request: Request) -> Response:
        described = models.base.description
        groups = {
            "inputs": described.input_descriptions_by_name,
            "outputs": described.output_descriptions_by_name,
            "training_inputs": described.training_input_descriptions_by_name,
        }
        told = {group: {name: feature.phrase for name, feature in features.items()} for group, features in groups.items()}
        parameters = {str(key): value.default_value for key, value in described.parameter_descriptions_by_key.items() if not key.scope}
        return JSONResponse({"name": models.base.name, **told, "parameters": plain(parameters)})

    async def predict(request: Request) -> Response:
        user, given = user_of(request), await body_of(request)
        return await unless_gone(request, models.predict(user, given.get("inputs")))

    async def begin(request: Request) -> Response:
        user, given = user_of(request), await body_of(request)
        return JSONResponse((await models.begin(user, given)).told, 202)

    async def cancel(request: Request) -> Response:
        return JSONResponse(there(await models.cancel(user_of(request))).told)

    async def look(request: Request) -> Response:
        return JSONResponse(there(models.updates.get(user_of(request))).told)

    async def follow(request: Request) -> Response:
        update = there(models.updates.get(user_of(request)))

        async def events() -> AsyncIterator[str]:
            async for told in models.follow(update, PAUSE):
                yield f"data: {json.dumps(told)}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/model", describe),
            Route("/users/{user}/predictions", predict, methods=["POST"]),
            Route("/users/{user}/update", begin, methods=["POST"]),
            Route("/users/{user}/update", cancel, methods=["DELETE"]),
            Route("/users/{user}/update", look),
            Route("/users/{user}/update/events", follow),
        ],
        exception_handlers=dict.fromkeys((MLModelError, HTTPException, ClientDisconnect, Exception), refused),
    )


def there(update: Update | None) -> Update:
    if update is None:
        raise HTTPException(404, "expected an update of this user, got none")
    return update


def user_of(request: Request) -> str:
    """Whose model it is. Who may ask for it is for the application to see to: here everybody may."""
    user = str(request.path_params["user"])
    if not USER.fullmatch(user):
        raise HTTPException(404, "expected a user's name of at most 64 of a-z, 0-9, - and _")
    return user


async def body_of(request: Request) -> dict[str, Any]:
    received = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            received += chunk
            if len(received) > MOST_BYTES:
                raise HTTPException(413, f"expected a body of at most {MOST_BYTES} bytes")
    try:
        given = json.loads(received)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"expected a body in JSON: {error}") from error
    if not isinstance(given, dict):
        raise HTTPException(400, f"expected a body that is an object, got {type(given).__name__}")
    return given


async def unless_gone(request: Request, work: Awaitable[Any]) -> Response:
    """What ``work`` gives. It is cancelled where the client goes away before."""
    response = Response(status_code=499)  # which nobody sees

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        try:
            response = JSONResponse(plain(await work))
        except MLModelError as error:  # out of the group it would come in an exception group
            response = await refused(request, error)
        group.cancel_scope.cancel()
    return response


async def refused(request: Request, error: Exception) -> Response:
    """An error as JSON. What the service alone is to blame for is told in its log."""
    kind, told, headers = type(error).__name__, str(error), {}
    match error:
        case HTTPException():
            status, kind, told = error.status_code, "HTTPError", error.detail
        case ClientDisconnect():
            status = 499  # which nobody sees
        case MLBusyError():
            status, headers = 503, {"Retry-After": "1"}
        case MLTaskStateError():
            status = 409
        case MLFeatureError() | MLUpdateError():
            status = 422
        case _:
            status, kind, told = 500, "InternalError", "the service failed"
            logging.getLogger("web_service").error("%s %s", request.method, request.url.path, exc_info=error)
    return JSONResponse({"error": {"kind": kind, "message": told}}, status, headers)


def plain(value: Any) -> Any:
    """An answer as JSON has it: arrays as lists, images as PNG in base64, NaN and infinity as null."""
    match value:
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case np.ndarray():
            return plain(value.tolist())
        case float():
            return value if math.isfinite(value) else None
        case Image.Image():
            value.save(written := io.BytesIO(), "PNG")
            return base64.b64encode(written.getvalue()).decode()
    return value


def circle() -> MLModel:
    """A classifier of points that can learn; it begins with weights drawn at random."""
    rng = np.random.default_rng(1)
    builder = NeuralNetworkBuilder([array_feature("x", (2,))], [array_feature("p", (2,))], "classifier", ["in", "out"])
    builder.add_inner_product("hidden", rng.normal(size=(16, 2)), np.zeros(16), 2, 16, True, "x", "h")
    builder.add_activation("tanh", "TANH", "h", "a")
    builder.add_inner_product("scores", rng.normal(size=(2, 16)) / 4, np.zeros(2), 16, 2, True, "a", "s")
    builder.add_softmax("softmax", "s", "p")
    builder.make_updatable(["hidden", "scores"])
    builder.set_categorical_cross_entropy_loss("loss", "p")
    builder.set_sgd_optimizer(SgdParams(lr=0.1, batch=8))
    builder.set_epochs(100)
    epochs = builder.spec.neuralNetworkClassifier.updateParams.epochs
    epochs.ClearField("set")
    epochs.range.minValue, epochs.range.maxValue = 1, 10_000_000
    return MLModel.from_spec(builder.spec, "circle")


class Server(uvicorn.Server):
    """Lets those go who follow updates, before it waits for the last response."""

    def __init__(self, models: PersonalModels, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._models = models

    async def shutdown(self, sockets: Any = None) -> None:
        self._models.leave()
        await super().shutdown(sockets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", nargs="?", type=Path, help="a Core ML model; a small one is made where none is given")
    parser.add_argument("--folder", type=Path, default=Path("users"), help="where users' models and updates are kept")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("tailor").setLevel(logging.WARNING)  # it tells of every turn
    try:
        models = PersonalModels(MLModel(options.model) if options.model else circle(), options.folder)
    except MLModelError as error:
        parser.error(str(error))
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises it once more when all is done: then it ends nothing
        signal.signal(number, lambda number, frame: None)
    Server(models, uvicorn.Config(application(models), host=options.host, port=options.port, lifespan="on")).run()


if __name__ == "__main__":
    main()
