"""When checkpoints are written, beside the training, and what becomes of the file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailor import (
    Checkpoint,
    MLArrayBatchProvider,
    MLCheckpointError,
    MLCheckpoints,
    MLMetricKey,
    MLModelConfiguration,
    MLModelError,
    MLTaskCancelledError,
    MLTaskState,
    MLUpdateContext,
    MLUpdateProgressHandlers,
    MLUpdateTask,
    Runtime,
    read_checkpoint,
    write_checkpoint,
)
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tailor.runtime.update import saving
from tests.tasks.models import regression_model, regression_provider
from tests.tasks.resumable import BATCH, CASES, EPOCHS, adam, files, handled

pytestmark = pytest.mark.anyio


async def test_it_is_written_beside_the_training_and_removed_when_all_is_done(tmp_path: Path) -> None:
    path, seen = tmp_path / "c.tailor", []

    def look(context: MLUpdateContext) -> None:
        seen.append(path.exists())

    handlers = MLUpdateProgressHandlers(Event.EPOCH_END, None, look)
    context = await MLUpdateTask(
        adam(), regression_provider(), checkpoints=MLCheckpoints(path, every_batches=1), progress_handlers=handlers
    )
    assert seen == [True], "it is still there when the completion is told"
    assert files(tmp_path) == []
    assert context.metrics[MLMetricKey.EPOCH_INDEX] == EPOCHS - 1


async def test_kept_it_holds_the_end_and_is_done_at_once(tmp_path: Path) -> None:
    path = tmp_path / "c.tailor"
    expected = await MLUpdateTask(adam(), regression_provider(), checkpoints=MLCheckpoints(path, every_batches=2, keep=True))
    told: list[Event] = []
    handlers = handled(lambda context: told.append(context.event), Event.TRAINING_BEGIN | Event.MINI_BATCH_END)
    context = await MLUpdateTask.restore(path, adam(), regression_provider(), progress_handlers=handlers)
    assert told == [Event.TRAINING_BEGIN]
    assert context.model.to_bytes() == expected.model.to_bytes()
    assert context.metrics == expected.metrics


@pytest.mark.parametrize("case", ["Adam, shuffled", "neighbours"])
@pytest.mark.parametrize("background", [False, True])
async def test_a_cancelled_update_leaves_its_last_moment(case: str, background: bool, tmp_path: Path) -> None:
    make, provider, _ = CASES[case]
    path, told = tmp_path / "c.tailor", []

    def cancel(context: MLUpdateContext) -> None:
        told.append(context)
        if len(told) == 2:
            context.task.cancel()

    async with Runtime() as runtime:
        task = MLUpdateTask(
            make(),
            provider(),
            progress_handlers=handled(cancel),
            checkpoints=MLCheckpoints(path),
            runtime=runtime if background else None,
        )
        with pytest.raises(MLTaskCancelledError):
            await task
    assert len(told) == 2, "not one mini-batch more"
    checkpoint = read_checkpoint(path)
    assert checkpoint.progress["cursor"] == (2 * BATCH if case.startswith("Adam") else 128)
    seed = {Key.SEED: told[0].parameters[Key.SEED]} if case.startswith("Adam") else {}
    expected = await MLUpdateTask(make(), provider(), MLModelConfiguration(parameters=seed))
    context = await MLUpdateTask.restore(path, make(), provider(), checkpoints=MLCheckpoints(path))
    assert context.model.to_bytes() == expected.model.to_bytes()
    assert files(tmp_path) == []


async def test_by_time_it_is_written_at_the_first_boundary_after(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written: list[Any] = []
    monkeypatch.setattr(saving, "write_checkpoint", lambda path, checkpoint: written.append(checkpoint.progress))
    monkeypatch.setattr(saving.threading, "Thread", Immediate)
    ticks = iter(range(100))
    monkeypatch.setattr(saving, "time", Clock(lambda: float(next(ticks))))
    await MLUpdateTask(adam(), regression_provider(), checkpoints=MLCheckpoints(tmp_path / "c", every_seconds=3.5))
    # A boundary a second: the first one is the beginning, the fourth second after it is the first to be due.
    assert [(at["epoch"], at["cursor"]) for at in written] == [(1, BATCH), (2, 2 * BATCH)]


async def test_what_costs_much_is_written_less_often_than_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Taking and writing cost 33 ms each, a thirtieth of the two seconds that pass then; a boundary comes every 500 ms."""
    written: list[Any] = []
    monkeypatch.setattr(saving, "write_checkpoint", lambda path, checkpoint: written.append(checkpoint.progress))
    monkeypatch.setattr(saving.threading, "Thread", Immediate)
    ticks = iter(range(100))
    monkeypatch.setattr(saving, "time", Clock(lambda: next(ticks) / 2, cost=0.033))
    await MLUpdateTask(adam(), regression_provider(), checkpoints=MLCheckpoints(tmp_path / "c", every_batches=1))
    assert [(at["epoch"], at["cursor"]) for at in written] == [(0, BATCH), (1, 2 * BATCH)]


class Clock:
    def __init__(self, monotonic: Callable[[], float], cost: float = 0.0) -> None:
        self.monotonic = monotonic
        self._spent = 0.0
        self._cost = cost

    def thread_time(self) -> float:
        """Each piece of work costs the same."""
        self._spent += self._cost
        return self._spent


class Immediate:
    """A thread that is through when it has been started."""

    def __init__(self, target: Callable[..., None], args: tuple[Any, ...], name: str) -> None:
        self._work = lambda: target(*args)

    def start(self) -> None:
        self._work()

    def is_alive(self) -> bool:
        return False

    def join(self) -> None:
        pass


async def test_while_one_is_written_training_goes_on_and_the_newest_comes_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(saving, "SHARE", float("inf"))
    path, may_write, cursors = tmp_path / "c", threading.Event(), []

    def slow(path: Path, checkpoint: Checkpoint) -> None:
        assert may_write.wait(60)
        cursors.append((checkpoint.progress["epoch"], checkpoint.progress["cursor"]))
        write_checkpoint(path, checkpoint)

    monkeypatch.setattr(saving, "write_checkpoint", slow)

    def go_on(context: MLUpdateContext) -> None:
        if context.metrics[MLMetricKey.EPOCH_INDEX] == 1 and context.metrics[MLMetricKey.MINI_BATCH_INDEX] == 1:
            may_write.set()  # five mini-batches after the first that was to be written
            assert context.task._training.saving is not None
            context.task._training.saving._thread.join()

    await MLUpdateTask(
        adam(), regression_provider(), checkpoints=MLCheckpoints(path, every_batches=1, keep=True), progress_handlers=handled(go_on)
    )
    assert cursors[:2] == [(0, BATCH), (1, 2 * BATCH)]
    assert cursors[-1] == (EPOCHS, 0), "the last one is waited for"
    assert read_checkpoint(path).progress["epoch"] == EPOCHS


async def test_a_checkpoint_that_cannot_be_written_fails_the_task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(path: Path, checkpoint: Checkpoint) -> None:
        raise MLCheckpointError("checkpoint: the disk is full")

    monkeypatch.setattr(saving, "write_checkpoint", full)
    model = regression_model(epochs=1_000_000)
    task = MLUpdateTask(model, regression_provider(), checkpoints=MLCheckpoints(tmp_path / "c", every_batches=1))
    with pytest.raises(MLCheckpointError, match="the disk is full"):
        await task
    assert task.state is MLTaskState.FAILED
    monkeypatch.undo()
    gone = tmp_path / "gone"
    gone.mkdir()
    settings = MLCheckpoints(gone / "c", keep=True)
    gone.rmdir()
    with pytest.raises(MLCheckpointError, match=r"checkpoint '.*gone.c': expected a file that can be written, got No such file"):
        await MLUpdateTask(adam(), regression_provider(), checkpoints=settings)


async def test_a_failing_update_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c"
    await MLUpdateTask(adam(), regression_provider(), checkpoints=MLCheckpoints(path, keep=True))
    before, bad = path.read_bytes(), [{"x": [1.0, 2.0], "y_true": [1.0]}] * 5 + [{"x": [1.0], "y_true": [1.0]}] * 5
    with pytest.raises(MLModelError, match="example [5-9]: "):
        await MLUpdateTask(adam(), MLArrayBatchProvider(bad), checkpoints=MLCheckpoints(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLCheckpoints(""), "path: expected the path of a file, got ''"),
        (lambda: MLCheckpoints("absent/c"), "path: expected a file in a folder that exists, got 'absent/c'"),
        (lambda: MLCheckpoints("c", every_batches=0), "every_batches: expected a whole number of at least 1, or None, got 0"),
        (lambda: MLCheckpoints("c", every_seconds=-1), "every_seconds: expected a number of at least 0, or None, got -1"),
        (lambda: MLUpdateTask(adam(), regression_provider(), checkpoints="c"), "checkpoints: expected MLCheckpoints, got str"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_cannot_be_say_so(make: Callable[[], object], message: str) -> None:
    with pytest.raises(MLModelError, match=message):
        make()
