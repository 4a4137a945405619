"""Predictions over the wire's values: the answers of the user's own model, or a refusal that names the example."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from PIL import Image

from tailor import MLBusyError, MLFeatureError, MLModel, Runtime
from tailor.daemon.configuration import Limits
from tailor.daemon.models import Predicting, batching
from tests.places import shared_model

from .keeping import AT, keeping, line

pytestmark = pytest.mark.anyio


async def test_each_is_answered_by_the_users_own_model(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept, Runtime(batching=batching(Limits())) as runtime:
        predicting = Predicting(runtime, kept.users, Limits())
        await kept.registry.register("line", line(2).to_bytes())
        await kept.ledger.add_user("line", "anna", AT)
        version = await kept.store.commit(line(5), user="anna", name="line")
        packed = {"shape": [1], "dtype": "float32", "data": base64.b64encode(np.array([4], "<f4").tobytes()).decode()}
        mine = await predicting.predict("line", "anna", [{"x": [1]}, {"x": packed}, {"x": 3}])
        assert ([float(one["y"][0]) for one in mine.outputs], mine.version) == ([5, 20, 15], version.identifier)
        base = await predicting.predict("line", None, [{"x": [1]}])
        assert ([float(one["y"][0]) for one in base.outputs], base.version) == ([2], None)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([{"x": [1]}, {"x": [1, 2]}], "example 1: input 'x': expected a float32 multi-array of shape [1]"),
        ([{"x": [1]}, {}], "example 1: line: expected input 'x', got nothing"),
        ([{"x": [1], "z": 1}], "example 0: line: expected inputs among 'x', got 'z'"),
        ([{"x": [1]}, {"x": ["a"]}], "example 1: input 'x': expected a float32 multi-array of shape [1], got 'a' among its numbers"),
        ([{"x": "/etc/passwd"}], "example 0: input 'x': expected a float32 multi-array of shape [1], got a str '/etc/passwd'"),
        ([{"x": None}], "example 0: line: expected input 'x', got None"),
    ],
)
async def test_what_does_not_fit_is_told_of_by_example(inputs: list[Any], told: str, tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept, Runtime(batching=batching(Limits())) as runtime:
        await kept.registry.register("line", line(2).to_bytes())
        with pytest.raises(MLFeatureError) as raised:
            await Predicting(runtime, kept.users, Limits()).predict("line", None, inputs)
        assert str(raised.value).startswith(told)


async def test_too_many_at_a_time_are_refused(tmp_path: Path) -> None:
    limits = Limits(waiting_predictions=2)
    answers: list[str] = []
    async with keeping(tmp_path, limits) as kept, Runtime(batching=batching(limits)) as runtime:
        predicting = Predicting(runtime, kept.users, limits)
        await kept.registry.register("line", line(2).to_bytes())
        await kept.registry.base("line")

        async def ask() -> None:
            try:
                answers.append(str((await predicting.predict("line", None, [{"x": [1]}])).outputs[0]["y"][0]))
            except MLBusyError:
                answers.append("busy")

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(ask)
    assert sorted(answers) == ["2.0"] * 2 + ["busy"] * 3


async def test_images_predict_as_their_pixels_do(tmp_path: Path) -> None:
    path = shared_model("TinyDrawingEmbedding.mlmodel")
    model = MLModel(path)
    (name,) = model.description.input_descriptions_by_name
    pixels = np.random.default_rng(3).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    sent = []
    for one in pixels:
        file = BytesIO()
        Image.fromarray(one).save(file, "PNG")
        sent.append({name: base64.b64encode(file.getvalue()).decode()})
    async with keeping(tmp_path) as kept, Runtime(batching=batching(Limits())) as runtime:
        await kept.registry.register("drawing", path.read_bytes())
        predicting = Predicting(runtime, kept.users, Limits())
        found = await predicting.predict("drawing", None, sent)
        expected = model.predict([{name: one} for one in pixels])
        for ours, theirs in zip(found.outputs, expected, strict=True):
            assert {key: value.tobytes() for key, value in ours.items()} == {key: value.tobytes() for key, value in theirs.items()}
        with pytest.raises(MLFeatureError, match="example 1: input .*got text that is no base64"):
            await predicting.predict("drawing", None, [sent[0], {name: str(path)}])
