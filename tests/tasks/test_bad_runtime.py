"""What a runtime is given that makes no sense: it says so in the words of the family."""

from __future__ import annotations

from typing import Any

import pytest

from tailor import MLBatching, MLParameterError, Runtime
from tests.tasks.models import regression_model

pytestmark = pytest.mark.anyio


async def test_a_runtime_wants_its_lanes_by_name() -> None:
    lanes: Any = ["cpu"]
    with pytest.raises(MLParameterError, match=r"runtime: lanes: expected a mapping from names to lanes, got \['cpu'\]"):
        Runtime(lanes=lanes)


@pytest.mark.parametrize("batching", [None, MLBatching()], ids=["one by one", "in batches"])
async def test_a_prediction_wants_a_model_and_a_priority(batching: MLBatching | None) -> None:
    path: Any = "Digits.mlmodel"
    urgent: Any = "high"
    async with Runtime(batching=batching) as runtime:
        with pytest.raises(MLParameterError, match="prediction: priority: expected one of BACKGROUND, .*, got 'high'"):
            await runtime.prediction(regression_model(), {}, priority=urgent)
        with pytest.raises(MLParameterError, match=r"prediction: model: expected MLModel, got 'Digits\.mlmodel'"):
            await runtime.prediction(path, {})
