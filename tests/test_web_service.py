"""The web service: predictions and updates in request handlers, and what stays of them when it is left."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from http.client import HTTPConnection
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import numpy as np
import pytest
from anyio.lowlevel import checkpoint
from PIL import Image

from tailor import (
    MLArrayBatchProvider,
    MLCheckpointError,
    MLCheckpoints,
    MLModel,
    MLModelConfiguration,
    MLUpdateTask,
    register_custom_model,
)
from tailor import MLParameterKey as Key
from tailor.runtime.format import NeuralNetworkBuilder, array_feature, image_feature
from tailor.runtime.network import asked_to_stop
from tailor.runtime.update import saving
from tests.asgi import Application, answer, request
from tests.tasks.batches import Own, own_model

for needed in ("starlette", "uvicorn"):
    pytest.importorskip(needed, reason=f"needs {needed}, which the web extra installs")

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[1]
EXAMPLES: list[dict[str, Any]] = [
    {"x": [0.0, 0.1], "classLabel": "in"},
    {"x": [1.0, 1.0], "classLabel": "out"},
    {"x": [-1.0, 0.9], "classLabel": "out"},
]
ASKED = {"examples": EXAMPLES, "parameters": {"epochs": 30, "seed": 5}}
ENDLESS = {"examples": EXAMPLES, "parameters": {"epochs": 10_000_000}}
UPDATE, PREDICTIONS = "/users/ann/update", "/users/ann/predictions"
POINT = {"inputs": {"x": [0.25, 0.5]}}


@pytest.fixture(scope="module")
def web() -> Iterator[ModuleType]:
    """``examples/web_service.py``, which imports what lies beside it."""
    sys.path.insert(0, str(ROOT / "examples"))
    yield import_module("web_service")
    sys.path.remove(str(ROOT / "examples"))
    for name in ("web_service", "personal_models"):
        del sys.modules[name]


@pytest.fixture(autouse=True)
def no_pause(web: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PAUSE", 0)


@asynccontextmanager
async def opened(web: ModuleType, folder: Path, base: MLModel | None = None, **limits: int) -> AsyncIterator[Application]:
    """The application while it is served, and ``app.state.models`` behind it."""
    kinds = import_module("personal_models")
    models = kinds.PersonalModels(base or web.circle(), folder, kinds.Limits(**limits))
    app = web.application(models)
    app.state.models = models
    async with app.router.lifespan_context(app):
        yield app


async def follow(app: Application, reached: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Follows ann's update until that is ``reached``, then goes away."""
    async with request(app, "GET", f"{UPDATE}/events") as response:
        async for chunk in response.chunks:
            event = re.fullmatch(r"data: (.*)\n\n", chunk.decode())
            assert event is not None
            told: dict[str, Any] = json.loads(event[1])
            if reached(told):
                return told
    raise AssertionError(f"the stream ended before, at {told}")


def over(told: dict[str, Any]) -> bool:
    return bool(told["state"] != "running")


async def learned(web: ModuleType) -> dict[str, Any]:
    """What the model answers that has learned what is ``ASKED``, undisturbed, without a service."""
    data = MLArrayBatchProvider([{**row, "x": np.array(row["x"], np.float32)} for row in EXAMPLES])
    configuration = MLModelConfiguration(parameters={Key.EPOCHS: 30, Key.SEED: 5})
    expected: dict[str, Any] = (await MLUpdateTask(web.circle(), data, configuration)).model.predict(POINT["inputs"])
    return expected


async def test_everybody_teaches_a_model_of_their_own(web: ModuleType, tmp_path: Path) -> None:
    base, expected = web.circle().predict(POINT["inputs"]), await learned(web)
    assert base != expected
    async with opened(web, tmp_path) as app:
        assert await answer(app, "POST", PREDICTIONS, POINT) == (200, base)
        assert await answer(app, "POST", UPDATE, ASKED) == (202, {"state": "running"})
        last = await follow(app, over)
        assert (last["state"], last["epoch"]) == ("completed", 29)
        assert await answer(app, "GET", UPDATE) == (200, last)
        assert await answer(app, "POST", PREDICTIONS, POINT) == (200, expected)
        assert await answer(app, "POST", "/users/bob/predictions", POINT) == (200, base)
    assert [path.name for path in (tmp_path / "ann").iterdir()] == ["model.snapshot"]
    async with opened(web, tmp_path, models=1) as app:  # another process
        assert (await answer(app, "GET", UPDATE))[0] == 404
        for user, answered in [("ann", expected), ("bob", base)] * 2:
            assert await answer(app, "POST", f"/users/{user}/predictions", POINT) == (200, answered)


@pytest.mark.parametrize("epochs", [[0], [3, 11], [29]])
async def test_left_in_the_middle_an_update_goes_on_at_the_next_start_to_the_same_bits(
    epochs: list[int], web: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left at the end of each of ``epochs``, counted from 0; the last one is 29."""
    update = import_module("personal_models").Update
    tell, reached = update.tell_progress, anyio.Event()

    async def held(self: Any, context: Any) -> None:
        tell(self, context)
        if self.told["epoch"] in epochs:
            reached.set()
            while not app.state.models.leaving:
                await checkpoint()

    monkeypatch.setattr(update, "tell_progress", held)
    for number in range(len(epochs)):
        async with opened(web, tmp_path) as app:
            if number == 0:
                await answer(app, "POST", UPDATE, ASKED)
            await reached.wait()
        reached = anyio.Event()
        assert sorted(path.name for path in (tmp_path / "ann").iterdir()) == ["update.checkpoint", "update.json"]
    async with opened(web, tmp_path) as app:
        assert (await follow(app, over))["state"] == "completed"
        assert await answer(app, "POST", PREDICTIONS, POINT) == (200, await learned(web))


async def test_who_follows_is_let_go_when_the_service_is_left_and_nothing_more_begins(web: ModuleType, tmp_path: Path) -> None:
    async with opened(web, tmp_path) as app:
        await answer(app, "POST", UPDATE, ENDLESS)
        async with request(app, "GET", f"{UPDATE}/events") as response:
            await response.chunks.receive()
            app.state.models.leave()  # as the server does before it waits for its last response
            async for _ in response.chunks:
                pass
        status, told = await answer(app, "POST", "/users/bob/update", ASKED)
        assert (status, told["error"]["kind"]) == (503, "MLBusyError")
    assert (tmp_path / "ann" / "update.checkpoint").exists()
    assert not (tmp_path / "bob" / "update.json").exists()


async def test_a_cancelled_update_leaves_nothing(web: ModuleType, tmp_path: Path) -> None:
    async with opened(web, tmp_path) as app:
        await answer(app, "POST", UPDATE, ENDLESS)
        await follow(app, lambda told: "epoch" in told)
        for _ in range(2):
            status, told = await answer(app, "DELETE", UPDATE)
            assert (status, told["state"]) == (200, "cancelled")
        assert list((tmp_path / "ann").iterdir()) == []
        assert (await answer(app, "POST", UPDATE, ASKED))[0] == 202
        assert (await follow(app, over))["state"] == "completed"


async def test_there_are_only_so_many_updates_at_a_time(web: ModuleType, tmp_path: Path) -> None:
    async with opened(web, tmp_path, updates=2) as app:
        for user, status in [("ann", 202), ("ann", 409), ("bob", 202), ("cleo", 503)]:
            assert (await answer(app, "POST", f"/users/{user}/update", ENDLESS))[0] == status
        async with request(app, "POST", "/users/cleo/update", json.dumps(ENDLESS).encode()) as response:
            assert (await response.json())["error"]["kind"] == "MLBusyError"
            assert response.headers["retry-after"] == "1"
        await answer(app, "DELETE", UPDATE)
        assert (await answer(app, "POST", "/users/cleo/update", ENDLESS))[0] == 202
        assert (await answer(app, "GET", UPDATE))[0] == 404  # forgotten, for there is room for two


@pytest.fixture
def own() -> Iterator[Own]:
    made = Own()
    register_custom_model("Own", lambda parameters, description: made)
    yield made
    register_custom_model("Own", None)


async def test_a_prediction_whose_client_goes_away_is_cancelled_and_the_others_are_refused_meanwhile(
    web: ModuleType, own: Own, tmp_path: Path
) -> None:
    begun, stopped = threading.Event(), threading.Event()

    def long(x: Any) -> None:
        stop = asked_to_stop()
        assert stop is not None
        begun.set()
        while not stop():
            pass
        stopped.set()

    own.before = long
    async with opened(web, tmp_path, own_model(), predictions=1) as app:
        async with request(app, "POST", PREDICTIONS, b'{"inputs": {"x": 1}}') as response:
            while not begun.is_set():
                await checkpoint()
            status, told = await answer(app, "POST", "/users/bob/predictions", {"inputs": {"x": 2}})
            assert (status, told["error"]["kind"]) == (503, "MLBusyError")
            assert (response.status, stopped.is_set()) == (0, False)
        own.before = lambda x: None
        assert await answer(app, "POST", PREDICTIONS, {"inputs": {"x": 2}}) == (200, {"y": 4.0})
    assert stopped.is_set()


# what is asked -> status, kind of the error, words of it
REFUSED: dict[str, tuple[str, str, Any, int, str, str]] = {
    "no such page": ("GET", "/", None, 404, "HTTPError", "Not Found"),
    "no such method": ("PUT", UPDATE, None, 405, "HTTPError", "Method Not Allowed"),
    "no such user": ("POST", "/users/../predictions", POINT, 404, "HTTPError", "a user's name of at most 64 of a-z"),
    "no update": ("GET", UPDATE, None, 404, "HTTPError", "expected an update of this user, got none"),
    "nothing to cancel": ("DELETE", UPDATE, None, 404, "HTTPError", "expected an update of this user, got none"),
    "nothing to follow": ("GET", f"{UPDATE}/events", None, 404, "HTTPError", "expected an update of this user, got none"),
    "no JSON": ("POST", PREDICTIONS, b"{", 400, "HTTPError", "a body in JSON: Expecting property name"),
    "a deep body": ("POST", PREDICTIONS, b"[" * 200_000, 400, "HTTPError", "a body in JSON: maximum recursion depth"),
    "no object": ("POST", PREDICTIONS, [POINT], 400, "HTTPError", "a body that is an object, got list"),
    "a long body": ("POST", PREDICTIONS, b" " * (1 << 20) + b"{}", 413, "HTTPError", "a body of at most 1048576 bytes"),
    "no inputs": ("POST", PREDICTIONS, {}, 422, "MLFeatureError", "an object of features by name, got NoneType"),
    "another input": ("POST", PREDICTIONS, {"inputs": {"y": 1}}, 422, "MLFeatureError", "expected inputs among 'x', got 'y'"),
    "another shape": ("POST", PREDICTIONS, {"inputs": {"x": [1]}}, 422, "MLFeatureError", r"of shape \[2\], got"),
    "not a number": ("POST", PREDICTIONS, b'{"inputs": {"x": [NaN, 0]}}', 422, "MLFeatureError", "finite numbers"),
    "no examples": ("POST", UPDATE, {}, 422, "MLFeatureError", "examples: expected a list of 1 to 1000"),
    "many examples": ("POST", UPDATE, {"examples": [{}] * 1001}, 422, "MLFeatureError", "examples: expected a list of 1 to 1000"),
    "an example that is none": ("POST", UPDATE, {"examples": [3]}, 422, "MLFeatureError", "an object of features by name, got int"),
    "no such parameter": (
        "POST",
        UPDATE,
        {**ASKED, "parameters": {"epoch": 1}},
        422,
        "MLParameterError",
        "parameter 'epoch': expected one of",
    ),
    "no parameters": ("POST", UPDATE, {**ASKED, "parameters": 3}, 422, "MLUpdateError", "parameters: expected an object"),
    "out of range": ("POST", UPDATE, {**ASKED, "parameters": {"epochs": 0}}, 422, "MLParameterError", "a whole number from 1 to"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_is_refused_in_json(case: str, web: ModuleType, tmp_path: Path) -> None:
    method, path, given, status, kind, words = REFUSED[case]
    async with opened(web, tmp_path) as app:
        found, told = await answer(app, method, path, given)
        assert (found, told["error"]["kind"]) == (status, kind)
        assert re.search(words, told["error"]["message"])
        assert await answer(app, "POST", PREDICTIONS, POINT) == (200, web.circle().predict(POINT["inputs"]))
    assert not (tmp_path / "ann" / "update.json").exists()


async def test_an_update_that_fails_says_why_and_is_not_tried_again(web: ModuleType, tmp_path: Path) -> None:
    async with opened(web, tmp_path) as app:
        await answer(app, "POST", UPDATE, {"examples": [*EXAMPLES, {"x": [0, 0], "classLabel": "between"}]})
        told = await follow(app, over)
        assert told["state"] == "failed"
        assert "example 3: training input 'classLabel': expected one of the class labels 'in', 'out', got 'between'" in told["error"]
    assert list((tmp_path / "ann").iterdir()) == []


async def test_what_was_learned_and_cannot_be_kept_is_learned_again_at_the_next_start(web: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "ann" / "model.snapshot").mkdir(parents=True)  # where a file should go
    async with opened(web, tmp_path) as app:
        app.state.models._models["ann"] = app.state.models.base
        await answer(app, "POST", UPDATE, ASKED)
        told = await follow(app, over)
        assert (told["state"], told["error"][:9]) == ("failed", "snapshot ")
        assert await answer(app, "POST", PREDICTIONS, POINT) == (200, web.circle().predict(POINT["inputs"]))
    (tmp_path / "ann" / "model.snapshot").rmdir()
    async with opened(web, tmp_path) as app:
        assert (await follow(app, over))["state"] == "completed"
        assert await answer(app, "POST", PREDICTIONS, POINT) == (200, await learned(web))


async def test_an_update_whose_checkpoint_cannot_be_written_is_taken_up_at_the_next_start(
    web: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Any, checkpoint: Any) -> None:
        raise MLCheckpointError("no space left on the device")

    with monkeypatch.context() as patch:
        patch.setattr(saving, "write_checkpoint", full)
        patch.setattr(import_module("personal_models"), "MLCheckpoints", lambda path, every_seconds: MLCheckpoints(path, every_batches=1))
        async with opened(web, tmp_path) as app:
            await answer(app, "POST", UPDATE, ASKED)
            told = await follow(app, over)
            assert (told["state"], told["error"]) == ("failed", "no space left on the device")
    async with opened(web, tmp_path) as app:
        assert (await follow(app, over))["state"] == "completed"
        assert await answer(app, "POST", PREDICTIONS, POINT) == (200, await learned(web))


async def test_a_bad_file_does_not_keep_the_service_from_starting(
    web: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    contents = {"ann": b"{", "bob": b"{}", "cleo": json.dumps({**ASKED, "model": "of another one"}).encode()}
    for user, content in contents.items():
        (tmp_path / user).mkdir()
        (tmp_path / user / "update.json").write_bytes(content)
    with caplog.at_level(logging.ERROR):
        async with opened(web, tmp_path) as app:
            assert (await answer(app, "POST", PREDICTIONS, POINT))[0] == 200
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["user ann", "user bob"]
    left = [user for user in contents if (tmp_path / user / "update.json").exists()]
    assert left == ["ann", "bob"]  # cleo's was over, but for clearing up


async def test_a_failure_of_the_service_is_no_business_of_the_clients(
    web: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "model.snapshot").write_bytes(b"damaged")
    async with opened(web, tmp_path) as app:
        status, told = await answer(app, "POST", PREDICTIONS, POINT)
    assert (status, told) == (500, {"error": {"kind": "InternalError", "message": "the service failed"}})
    assert "MLSnapshotError" in caplog.text


# Images --------------------------------------------------------------------------------------------------------------------------


def brightness() -> MLModel:
    builder = NeuralNetworkBuilder([image_feature("image", 4, 4)], [array_feature("mean", (1,))])
    builder.add_pooling("pool", 1, 1, 1, 1, "AVERAGE", "VALID", "image", "mean", is_global=True)
    return MLModel.from_spec(builder.spec, "brightness")


def encoded(picture: Image.Image) -> str:
    picture.save(written := io.BytesIO(), "PNG")
    return base64.b64encode(written.getvalue()).decode()


async def test_images_come_in_base64_and_never_from_a_path(web: ModuleType, tmp_path: Path) -> None:
    picture = Image.fromarray(np.full((4, 4), 51, np.uint8))
    secret = tmp_path / "secret.png"
    picture.save(secret)
    async with opened(web, tmp_path / "users", brightness(), pixels=16) as app:
        assert await answer(app, "POST", PREDICTIONS, {"inputs": {"image": encoded(picture)}}) == (200, {"mean": [51.0]})
        large = encoded(Image.new("L", (5, 4)))
        for given in (str(secret), encoded(picture)[:40], "", [[1]], large):
            status, told = await answer(app, "POST", PREDICTIONS, {"inputs": {"image": given}})
            assert (status, told["error"]["kind"]) == (422, "MLFeatureError")
        assert told["error"]["message"] == "'image': expected an image of at most 16 pixels, got 5x4"


def test_answers_are_plain_json(web: ModuleType) -> None:
    picture = Image.new("L", (2, 1), 7)
    given = {"a": np.array([[1.5, np.nan]], np.float32), "d": {3: float("inf"), 4: 0.25}, "s": ["x", 2], "i": picture}
    assert web.plain(given) == {"a": [[1.5, None]], "d": {"3": None, "4": 0.25}, "s": ["x", 2], "i": encoded(picture)}


# A process of its own ---------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM ends a process at once there")
def test_served_for_real_it_is_ended_by_sigterm_with_a_checkpoint(tmp_path: Path) -> None:
    """Real time, for the signal, the socket and uvicorn's way of ending are what is tried."""
    command = [sys.executable, str(ROOT / "examples" / "web_service.py"), "--folder", str(tmp_path), "--port", "0"]
    found = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, env={**os.environ, "PYTHONPATH": found}) as process, ExitStack() as stack:
        try:
            assert process.stderr is not None
            port = next(int(match[1]) for line in process.stderr if (match := re.search(r"running on http://127\.0\.0\.1:(\d+)", line)))
            connection = stack.enter_context(closing(HTTPConnection("127.0.0.1", port, timeout=60)))
            connection.request("POST", UPDATE, json.dumps(ENDLESS))
            assert json.loads(connection.getresponse().read()) == {"state": "running"}
            connection.request("GET", f"{UPDATE}/events")
            stream = stack.enter_context(closing(connection.getresponse()))
            while "epoch" not in (line := stream.readline().decode()):
                assert line, "the stream ended"
            process.send_signal(signal.SIGTERM)
            assert stream.read().endswith(b"\n\n")  # it ends
            process.stderr.read()
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert sorted(path.name for path in (tmp_path / "ann").iterdir()) == ["update.checkpoint", "update.json"]
