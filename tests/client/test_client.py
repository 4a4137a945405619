"""The client against a daemon: every operation once, with what it gives."""

from __future__ import annotations

from pathlib import Path

import anyio
import numpy as np
import pytest
from PIL import Image

from tailor import MLModel
from tailor.client import Client, EventRecord, MLDaemonError, NewExample
from tests.cli.models import drawings, picture, regression
from tests.daemon.api.listening import running

pytestmark = pytest.mark.anyio
DARK, BRIGHT = np.array([[0, 1], [2, 3]], np.uint8), np.array([[250, 251], [252, 253]], np.uint8)


async def test_a_daemon_from_python(tmp_path: Path) -> None:
    path = drawings(tmp_path / "Drawing.mlmodel")
    file = picture(tmp_path / "bright.png", 250, 251, 252, 253)
    with running(tmp_path):
        async with Client(tmp_path / "daemon.sock") as client:
            assert (await client.health()).state == "running"
            model = await client.register(path)
            assert (model.name, model.size, model.is_updatable) == ("Drawing", MLModel(path).size, True)
            assert {name: feature.type for name, feature in model.features.items()} == {"drawing": "image", "label": "string"}
            assert [one.name for one in await client.models()] == ["Drawing", "points"]
            assert (await client.add_user("Drawing", "ana")).waiting == 0
            given = [
                {"drawing": file, "label": "bright"},
                NewExample(features={"drawing": Image.fromarray(DARK), "label": "dark"}, id="mine"),
            ]
            for expected in ((2, 0, 2), (0, 2, 2)):
                added = await client.add_examples("Drawing", "ana", given, batch="monday")
                assert (added.accepted, added.duplicates, added.waiting) == expected
            assert [one.id for one in await client.examples("Drawing", "ana", state="waiting")] == ["monday-0", "mine"]
            assert [one.id for one in await client.examples("Drawing", "ana", after="monday-0")] == ["mine"]
            assert "2 examples wait" in (await client.why_user("Drawing", "ana")).text

            events: list[EventRecord] = []
            begun = await client.update("Drawing", "ana", {"numberOfNeighbors": 1})
            done = await client.wait(begun, progress=events.append)
            assert (done.state, done.examples, done.identifier) == ("completed", 2, begun.identifier)
            assert events == [] or events[-1].kind == "update_ended"
            assert await client.find_update(begun.identifier[:6]) == begun.identifier
            assert [one.identifier for one in await client.updates("Drawing", "ana", states=["completed"])] == [begun.identifier]
            assert f"as version {str(done.version)[:12]}" in (await client.why(begun.identifier)).text
            assert (await client.forecast(begun.identifier)).begin is None

            inputs = [{"drawing": Image.fromarray(BRIGHT)}, {"drawing": Image.fromarray(DARK)}]
            answer = await client.predict("Drawing", "ana", inputs)
            assert [output["label"] for output in answer.outputs] == ["bright", "dark"] and answer.version == done.version
            assert (await client.predict("Drawing", None, inputs)).version is None
            [version] = await client.history("Drawing", "ana")
            assert (version.identifier, version.update) == (done.version, begun.identifier)
            assert (await client.rollback("Drawing", "ana", "HEAD")).parents == [done.version]
            assert (await client.forget("Drawing", "ana", ids=["mine"])).replaced >= 1
            assert [output["label"] for output in (await client.predict("Drawing", "ana", inputs)).outputs] == ["bright", "bright"]

            past = await client.log(update=begun.identifier)
            assert [one.sequence for one in past] == sorted({one.sequence for one in past}) and past[-1].kind == "update_ended"
            async with client.events(past[0].sequence - 1) as coming:
                assert (await anext(coming)).sequence == past[0].sequence
            status = await client.status()
            assert (status.models, status.users, status.folder) == (2, 1, str(tmp_path / "state"))
            assert "tailor" in await client.metrics() and "/v1/models" in (await client.openapi())["paths"]
            assert (await client.syncs(), (await client.reload()).pid) == ([], status.pid)

            await client.remove_user("Drawing", "ana")
            assert await client.users("Drawing") == []
            await client.remove_model("Drawing")
            with pytest.raises(MLDaemonError, match="expected the name of a registered model") as raised:
                await client.user("Drawing", "ana")
            assert (raised.value.kind, raised.value.status) == ("MLNotFoundError", 404)


async def test_arrays_come_back_as_arrays_and_many_tasks_may_ask(tmp_path: Path) -> None:
    with running(tmp_path):
        async with Client(tmp_path / "daemon.sock") as client:
            inputs = [{"x": np.array([number, 1], np.float32)} for number in range(4)]
            together = await client.predict("points", None, inputs)
            alone: dict[int, object] = {}

            async def ask(number: int) -> None:
                alone[number] = (await client.predict("points", None, [inputs[number]])).outputs[0]["classLabel"]

            async with anyio.create_task_group() as group:
                for number in range(4):
                    group.start_soon(ask, number)
            assert [alone[number] for number in range(4)] == [output["classLabel"] for output in together.outputs]
            await client.register(regression(tmp_path / "r.mlmodel").read_bytes(), "zero")  # y = 0 x + 0
            [output] = (await client.predict("zero", None, [{"x": np.array([3.0, 4.0])}])).outputs
            assert isinstance(output["y"], np.ndarray) and (output["y"].dtype, output["y"].tolist()) == (np.float32, [0.0])
            with pytest.raises(MLDaemonError, match="x") as raised:
                await client.predict("points", None, [*inputs, {"x": np.zeros(5)}])
            assert raised.value.status == 422
