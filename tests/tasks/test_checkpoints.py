"""Checkpoints: an update that was left at any mini-batch boundary and taken up again ends as the one that never was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor import (
    Checkpoint,
    MLCheckpointError,
    MLCheckpoints,
    MLMetricKey,
    MLModel,
    MLModelConfiguration,
    MLTaskCancelledError,
    MLTrainingOptions,
    MLUpdateContext,
    MLUpdateGuard,
    MLUpdateTask,
    write_checkpoint,
)
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tests.tasks.models import regression_provider
from tests.tasks.resumable import CASES, COUNT, EACH, EPOCHS, adam, carried, collected, handled

pytestmark = pytest.mark.anyio


@EACH
async def test_taken_up_from_any_boundary_it_ends_with_the_same_bits(case: str) -> None:
    make, provider, options = CASES[case]
    model = make()
    seed = {Key.SEED: 7} if Key.SEED in model.description.parameter_descriptions_by_key else {}
    configuration = MLModelConfiguration(parameters=seed, **options)
    expected = await MLUpdateTask(model, provider(), configuration)
    again, checkpoints = await collected(model, provider(), configuration)
    assert len(checkpoints) == (EPOCHS * 3 if seed else 3)
    assert again.model.to_bytes() == expected.model.to_bytes() != model.to_bytes()
    for checkpoint in checkpoints:
        context = await MLUpdateTask.restore(checkpoint, make(), provider(), MLModelConfiguration(**options))
        assert context.model.to_bytes() == expected.model.to_bytes()
        assert (context.metrics, context.parameters) == (expected.metrics, expected.parameters)


STATEFUL = ["momentum", "Adam, shuffled", "Adam, accumulated and decayed"]
PARTS = [(case, part) for case in STATEFUL for part in ("learner.slot.", "learner.steps", "cursor")]
PARTS.remove(("momentum", "learner.steps"))  # gradient descent does not ask how many there were


@pytest.mark.parametrize(("case", "forgotten"), PARTS)
async def test_nothing_of_a_checkpoint_is_there_in_vain(case: str, forgotten: str) -> None:
    """Without what the optimizer remembers, its steps, or the place in the order, the end is another."""
    make, provider, options = CASES[case]
    configuration = MLModelConfiguration(parameters={Key.SEED: 7}, **options)
    expected, checkpoints = await collected(make(), provider(), configuration)
    whole = checkpoints[4]
    values = {
        name: [9] if name == forgotten == "learner.steps" else np.zeros_like(value) if name.startswith(forgotten) else value
        for name, value in whole.values.items()
    }
    progress = {**whole.progress, "cursor": 0} if forgotten == "cursor" else whole.progress
    context = await MLUpdateTask.restore(Checkpoint(whole.metadata, whole.base, progress, values), make(), provider(), configuration)
    assert context.model.to_bytes() != expected.model.to_bytes()


@pytest.mark.parametrize("left_at", range(9))
async def test_a_learning_rate_that_was_changed_on_the_way_is_in_force_again(left_at: int) -> None:
    """Changed in a handler after the fourth mini-batch; left and taken up at each boundary, that one included."""
    seen: list[float] = []

    def steer(context: MLUpdateContext) -> None:
        at = context.metrics[MLMetricKey.EPOCH_INDEX], context.metrics[MLMetricKey.MINI_BATCH_INDEX]
        seen.append(float(context.parameters[Key.LEARNING_RATE]))
        if at == (1, 0):
            context.task.resume(with_parameters={Key.LEARNING_RATE: 0.02})

    configuration = MLModelConfiguration(parameters={Key.SEED: 7, Key.LEARNING_RATE: 0.01})
    expected = await MLUpdateTask(adam(), regression_provider(), configuration, progress_handlers=handled(steer))
    assert seen == [0.01] * 4 + [0.02] * 5
    seen.clear()
    taken: list[Checkpoint] = []

    async def leave(context: MLUpdateContext) -> None:
        steer(context)
        if len(seen) == left_at + 1:
            taken.append(await context.task.checkpoint())
            context.task.cancel()

    with pytest.raises(MLTaskCancelledError):
        await MLUpdateTask(adam(), regression_provider(), configuration, progress_handlers=handled(leave))
    resumed = MLUpdateTask.restore(carried(taken[0]), adam(), regression_provider(), configuration, progress_handlers=handled(steer))
    context = await resumed
    assert seen == [0.01] * 4 + [0.02] * 5
    assert context.model.to_bytes() == expected.model.to_bytes()


async def test_a_guarded_update_goes_on_with_the_same_examples_held_out() -> None:
    guard = MLUpdateGuard(hold_out=0.3, seed=4, margin=100.0)
    expected, checkpoints = await collected(adam(), regression_provider(), guard=guard)
    for checkpoint in (checkpoints[0], checkpoints[-1]):
        context = await MLUpdateTask.restore(checkpoint, adam(), regression_provider(), guard=guard)
        assert context.candidate.to_bytes() == expected.candidate.to_bytes()
        assert context.verdict == expected.verdict
        with pytest.raises(MLCheckpointError, match="hold_out to be 0.3, as it was made with, got not set"):
            MLUpdateTask.restore(checkpoint, adam(), regression_provider())


class Altered:
    """A provider of which one example is another than it was; or that says it augments."""

    def __init__(self, at: int | None = None, count: int = COUNT, augments: bool = False) -> None:
        self._data, self._at, self.count, self.augments = regression_provider(count), at, count, augments

    def features_at(self, index: int) -> Mapping[str, object]:
        row = dict(self._data.features_at(index))
        return {**row, "y_true": [99.0]} if index == self._at else row


def other_model() -> MLModel:
    return adam(shuffle=False)


REFUSED: dict[str, tuple[Callable[[Checkpoint], Any], Callable[[], MLModel], Callable[[], Any], dict[str, Any], str]] = {
    "another model": (lambda c: c, other_model, Altered, {}, r"expected the model with the hash [0-9a-f]{64}, got adam with the hash"),
    "fewer examples": (lambda c: c, adam, lambda: Altered(count=9), {}, "its training data of 10 examples, got training data of 9"),
    "another example": (lambda c: c, adam, lambda: Altered(0), {}, "example 0: expected the training data that the checkpoint"),
    "more epochs": (lambda c: c, adam, Altered, {"parameters": {Key.EPOCHS: 4}}, "parameter epochs to be 3, as it was made with, got 4"),
    "another seed": (lambda c: c, adam, Altered, {"parameters": {Key.SEED: 8}}, "parameter seed to be 7, as it was made with, got 8"),
    "other options": (lambda c: c, adam, Altered, {"training": MLTrainingOptions(clip_norm=1.0)}, "clip_norm to be not set, .* got 1.0"),
    "work of another kind": (lambda c: replace(c, progress={"at": 7}), adam, Altered, {}, "expected that of an update.* got at"),
    "a word too many": (lambda c: changed(c, more=1), adam, Altered, {}, "expected that of an update.*settings, got .*more"),
    "a place that is none": (lambda c: changed(c, cursor=10), adam, Altered, {}, "cursor to be a whole number from 0 to 9, got 10"),
    "an epoch too many": (lambda c: changed(c, epoch=4), adam, Altered, {}, "progress.epoch to be a whole number from 0 to 3, got 4"),
    "a sum that is none": (lambda c: changed(c, loss_sum="1"), adam, Altered, {}, "progress.loss_sum to be a number, got '1'"),
    "no parameters": (lambda c: changed(c, parameters={}), adam, Altered, {}, "expected the parameters learningRate.*got none"),
    "a metric too many": (lambda c: changed(c, metrics={"x": 1}), adam, Altered, {}, "expected metrics among lossValue.*got x"),
    "no steps": (lambda c: without(c, "learner.steps"), adam, Altered, {}, "steps: expected one whole number of at least 0, got None"),
    "a parameter less": (lambda c: without(c, "learner.parameter.first.bias"), adam, Altered, {}, r"float32 \[3\], got none"),
    "a value too many": (lambda c: replace(c, values={**c.values, "x": [1]}), adam, Altered, {}, "no value but learner.* got 'x'"),
    "a state too many": (lambda c: replace(c, values={**c.values, "learner.x": [1]}), adam, Altered, {}, "got one of 'x'"),
    "a slot too many": (
        lambda c: replace(c, values={**c.values, "learner.slot.third.bias/mean": np.zeros(1, np.float32)}),
        adam,
        Altered,
        {},
        "slot.third.bias/mean: expected the name of a parameter",
    ),
}  # fmt: skip


def changed(checkpoint: Checkpoint, **progress: Any) -> Checkpoint:
    return replace(checkpoint, progress={**checkpoint.progress, **progress})


def without(checkpoint: Checkpoint, name: str) -> Checkpoint:
    return replace(checkpoint, values={key: value for key, value in checkpoint.values.items() if key != name})


@pytest.mark.parametrize("case", REFUSED)
async def test_what_does_not_belong_together_is_refused_and_says_which(case: str, tmp_path: Path) -> None:
    change, make, data, options, message = REFUSED[case]
    _, checkpoints = await collected(adam(), Altered(), MLModelConfiguration(parameters={Key.SEED: 7}))
    path, model = tmp_path / "c", make()
    write_checkpoint(path, change(checkpoints[4]))
    before = path.read_bytes(), model.to_bytes()
    with pytest.raises(MLCheckpointError, match=message):
        MLUpdateTask.restore(path, model, data(), MLModelConfiguration(**options), checkpoints=MLCheckpoints(path))
    assert (path.read_bytes(), model.to_bytes()) == before


async def test_an_example_that_has_changed_is_found_when_its_turn_comes() -> None:
    """Of 100 examples that were learned from eight are compared at once: example 50 is not among them."""
    model = adam(shuffle=False)
    _, checkpoints = await collected(model, Altered(count=100), MLModelConfiguration(parameters={Key.EPOCHS: 1}))
    chosen = changed(checkpoints[-1], epoch=0, cursor=0)
    task = MLUpdateTask.restore(chosen, model, Altered(50, count=100))
    with pytest.raises(MLCheckpointError, match="epoch 0, mini-batch 12: example 50: expected the training data that the checkpoint"):
        await task
    assert (await MLUpdateTask.restore(chosen, model, Altered(count=100))).event is Event(0)


async def test_a_provider_that_augments_is_not_compared() -> None:
    _, checkpoints = await collected(adam(), Altered(augments=True))
    assert "examples.digests" not in checkpoints[4].values
    assert (await MLUpdateTask.restore(checkpoints[4], adam(), Altered(0))).event is Event(0)
    _, checkpoints = await collected(adam(), Altered())
    assert (await MLUpdateTask.restore(checkpoints[4], adam(), Altered(0, augments=True))).event is Event(0)


async def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    await MLUpdateTask(adam(), regression_provider(), checkpoints=MLCheckpoints(path, keep=True))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    cases: list[tuple[bytes, str]] = [
        (whole[:-1], "truncated"),
        (bytes(flipped), "SHA-256.*damaged"),
        (b"PK", "magic"),
        (b"", "an empty file"),
    ]
    for data, message in cases:
        path.write_bytes(data)
        with pytest.raises(MLCheckpointError, match=f"checkpoint .*{message}"):
            MLUpdateTask.restore(path, adam(), regression_provider())
        assert path.read_bytes() == data
    for given in (None, 3):
        with pytest.raises(MLCheckpointError, match="expected a checkpoint, or the path of its file, got (NoneType|int)"):
            MLUpdateTask.restore(given, adam(), regression_provider())  # type: ignore[arg-type]
    with pytest.raises(MLCheckpointError, match="c': expected a Checkpoint, got dict"):
        write_checkpoint(path, {})  # type: ignore[arg-type]
    with pytest.raises(MLCheckpointError, match=r"absent': expected a file that can be read, got No such file"):
        MLUpdateTask.restore(tmp_path / "absent", adam(), regression_provider())
