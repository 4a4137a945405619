"""Updates with budgets, on a clock that only moves where the test moves it: by mini-batches, and by what writing a checkpoint takes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from tailor import (
    Budget,
    MLCheckpoints,
    MLModelConfiguration,
    MLScheduling,
    MLTaskState,
    MLTaskStateError,
    MLUpdateTask,
    Runtime,
    read_checkpoint,
)
from tailor import MLParameterKey as Key
from tailor.runtime.update import saving, training
from tailor.scheduler.testing import FakeSensors, InlineLane
from tests.tasks.models import regression_provider
from tests.tasks.resumable import BATCH, COUNT, adam

pytestmark = pytest.mark.anyio

STEP, WRITING = 0.010, 0.020
EPOCHS = 8
STEPS = EPOCHS * -(-COUNT // BATCH)
CONFIGURATION = MLModelConfiguration(parameters={Key.SEED: 3, Key.EPOCHS: EPOCHS})
CLOCK = MockClock()


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": CLOCK}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """When checkpoints were there, and how many steps they hold; mini-batches and writing take time."""
    found: list[tuple[float, int]] = []
    step, write = training.Training._step, saving.write_checkpoint

    def timed_step(self: training.Training) -> Any:
        CLOCK.jump(STEP)
        return step(self)

    def timed_write(path: Any, checkpoint: Any) -> None:
        CLOCK.jump(WRITING)
        write(path, checkpoint)
        found.append((CLOCK.current_time(), steps_in(path)))

    clock = SimpleNamespace(monotonic=CLOCK.current_time, thread_time=CLOCK.current_time)
    for module in (training, saving):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(training.Training, "_step", timed_step)
    monkeypatch.setattr(saving, "write_checkpoint", timed_write)
    return found


def steps_in(path: Path) -> int:
    """How many mini-batches a checkpoint has behind it."""
    progress = read_checkpoint(path).progress
    return int(progress["epoch"]) * (STEPS // EPOCHS) + -(-int(progress["cursor"]) // BATCH)  # type: ignore[call-overload]


def update(runtime: Runtime | None, **fields: Any) -> MLUpdateTask:
    return MLUpdateTask(adam(), regression_provider(COUNT), CONFIGURATION, runtime=runtime, **fields)


def virtual() -> Runtime:
    return Runtime(lane=InlineLane(), cores=1, sensors=FakeSensors())


async def test_windows_end_in_time_with_a_checkpoint_and_the_update_with_the_same_bits(
    written: list[tuple[float, int]], tmp_path: Path
) -> None:
    expected, path = (await update(None)).model.to_bytes(), tmp_path / "c"
    done, taken = 0, []
    async with virtual() as runtime:
        task = update(runtime, checkpoints=MLCheckpoints(path))
        while not task.state.is_final:
            begin = CLOCK.current_time()
            task.resume(budget=Budget(deadline=begin + 0.1))
            if await task.paused() is not MLTaskState.SUSPENDED:
                break
            assert CLOCK.current_time() <= begin + 0.1
            assert written[-1] == (CLOCK.current_time(), steps_in(path))
            taken.append(steps_in(path) - done)
            done = steps_in(path)
            CLOCK.jump(60)  # until the next window
    assert (await task).model.to_bytes() == expected
    assert not path.exists()
    # what is known of steps and checkpoints grows: of 0.1 s, 0.08 are left for eight steps of which the margins may cost some
    assert taken[0] >= 1 and taken == sorted(taken) and max(taken) >= 5


async def test_another_process_goes_on_with_the_same_bits(written: list[tuple[float, int]], tmp_path: Path) -> None:
    expected, path = (await update(None)).model.to_bytes(), tmp_path / "c"
    async with virtual() as runtime:
        task = update(runtime, checkpoints=MLCheckpoints(path), scheduling=MLScheduling(budget=Budget(seconds=0.1)))
        task.resume()
        assert await task.paused() is MLTaskState.SUSPENDED and 0 < steps_in(path) < STEPS
        again = MLUpdateTask.restore(path, adam(), regression_provider(COUNT), CONFIGURATION)
        assert (await again).model.to_bytes() == expected
        task.cancel()


@pytest.mark.parametrize("steps", [0, 1, 5])
async def test_so_many_mini_batches_as_the_budget_has(written: list[tuple[float, int]], steps: int, tmp_path: Path) -> None:
    async with virtual() as runtime:
        task = update(runtime, checkpoints=MLCheckpoints(tmp_path / "c"))
        for window in (1, 2):
            task.resume(budget=Budget(steps=steps))
            assert await task.paused() is MLTaskState.SUSPENDED
            assert (steps_in(tmp_path / "c") if written else 0) == window * steps
        task.cancel()


async def test_a_deadline_already_past_takes_no_mini_batch(written: list[tuple[float, int]], tmp_path: Path) -> None:
    async with virtual() as runtime:
        task = update(runtime, checkpoints=MLCheckpoints(tmp_path / "c"))
        task.resume(budget=Budget(deadline=anyio.current_time() - 1))
        assert await task.paused() is MLTaskState.SUSPENDED
        assert (await task.checkpoint()).progress["cursor"] == 0
        assert written == []  # it has not begun: there is nothing to go on from
        task.resume(budget=Budget())
    assert task.state is MLTaskState.COMPLETED


async def test_a_budget_needs_a_runtime() -> None:
    task = update(None)
    with pytest.raises(MLTaskStateError, match="budget: expected a task with a runtime"):
        task.resume(budget=Budget(seconds=1))
    task.cancel()
