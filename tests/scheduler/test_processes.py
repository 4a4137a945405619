"""Worker processes: real ones, that are really killed. What waits here waits for a process, never for a time.

Most tests of a backend share a lane, for a worker takes a second to start.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import anyio
import pytest

from tailor.scheduler import Channel, LaneLost, ProcessLane, SchedulerClosed, SchedulerError, caller
from tailor.scheduler.lanes import processes, worker
from tailor.scheduler.testing import check_lane
from tests.scheduler import remote_work

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(os.name == "nt", reason="processes are killed by signals")]


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop of all tests, and of the lane that they share."""
    backend: str = request.param
    return backend


@pytest.fixture(scope="module")
async def lane(anyio_backend: str) -> AsyncIterator[ProcessLane]:
    async with ProcessLane(2) as lane:
        yield lane


def gone(process: int) -> bool:
    """Whether a process is no more, nor waits to be asked how it ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def open_files() -> int:
    """How many files and connections this process has open."""
    return len(os.listdir("/dev/fd"))


def wait_for_the_end_of(process: int) -> None:
    """Until it has died; it is not asked how, which is for who has started it."""
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)


async def test_it_keeps_the_promises_of_a_lane(lane: ProcessLane) -> None:
    await check_lane(lane)
    assert len(lane.processes) == lane.capacity == 2
    assert repr(lane) == "<ProcessLane 0 of 2 busy>"


async def test_what_comes_back_and_what_cannot_go_there(lane: ProcessLane) -> None:
    here, there = os.getpid(), await lane.run(os.getpid)
    assert there != here
    with pytest.raises(ValueError, match=r"expected work that can be sent to another process .*, got <function .*lambda.*"):
        await lane.run(lambda: 1)
    with pytest.raises(ValueError, match="invalid literal") as raised:
        await lane.run(partial(int, "seven"))
    assert f"in worker process {there}:\nTraceback" in raised.value.__notes__[0]
    with pytest.raises(FileNotFoundError):  # an error of the work's, not of the connection
        await lane.run(partial(os.listdir, "/nowhere at all"))
    with pytest.raises(SchedulerError, match="cannot be sent between processes: .*Awkward: 1 and 2") as awkward:
        await lane.run(remote_work.raise_awkward)
    assert "raise_awkward" in awkward.value.__notes__[0]
    with pytest.raises(SchedulerError, match="expected a result that can be sent to another process, got function"):
        await lane.run(remote_work.make_function)
    with pytest.raises(SystemExit):
        await lane.run(partial(sys.exit, 3))
    with pytest.raises(SchedulerError, match="expected work that asks nothing, for nobody answers, got 1"):
        await lane.run(partial(remote_work.ask_many, [1]))
    path, threads = await lane.run(remote_work.surroundings)
    assert set(filter(None, sys.path)) <= set(path)
    assert int(threads or 0) == int(os.environ.get("OMP_NUM_THREADS") or max(1, len(os.sched_getaffinity(0)) // 2))
    assert await lane.run(os.getpid) == there  # the worker has survived all of it


async def test_a_worker_that_dies_takes_one_piece_of_work_with_it(lane: ProcessLane) -> None:
    channel, at_work = Channel(lambda word: anyio.from_thread.run_sync(heard.set)), {}
    heard = anyio.Event()

    async def go_on() -> None:
        at_work["other"] = await lane.run(partial(remote_work.hear, 1), channel)

    async with anyio.create_task_group() as group:
        group.start_soon(go_on)
        await heard.wait()
        idle = await lane.run(os.getpid)
        (busy,) = set(lane.processes) - {idle}
        os.kill(idle, signal.SIGKILL)
        wait_for_the_end_of(idle)
        another = await lane.run(os.getpid)
        assert gone(idle)
        assert set(lane.processes) == {busy, another}
        with pytest.raises(LaneLost, match=f"worker {another} has ended with exit code 3; the work that it had has not happened"):
            await lane.run(partial(os._exit, 3))
        assert lane.processes == [busy]
        channel.tell("enough")
    assert at_work == {"other": ["enough"]}


async def test_a_channel_joins_work_with_the_worker_that_it_had_before(lane: ProcessLane) -> None:
    one, other = Channel({"a": 1, "b": 2}.__getitem__), Channel()
    process, before, _ = await lane.run(partial(remote_work.leave, "first"), one)
    assert before == []
    assert await lane.run(partial(remote_work.leave, "second"), one) == (process, ["first"], [])
    assert await lane.run(partial(remote_work.leave, "third"), other) == (process, [], [])
    one.close()
    assert await lane.run(partial(remote_work.leave, "fourth"), one) == (process, [], ["first", "second"])
    for _ in range(worker.MOST_CHANNELS - 1):
        assert (await lane.run(partial(remote_work.leave, "fifth"), Channel()))[1] == []
    assert (await lane.run(partial(remote_work.leave, "sixth"), other))[1:] == ([], ["first", "second", "third", "fourth"])

    assert await lane.run(partial(remote_work.ask_many, ["a", "b"]), one) == [1, 2]
    with pytest.raises(KeyError):
        await lane.run(partial(remote_work.ask_many, ["c"]), one)
    with pytest.raises(RuntimeError, match="asked in vain") as raised:
        await lane.run(partial(remote_work.ask_and_wrap, "c"), one)
    assert isinstance(raised.value.__cause__, KeyError)
    assert raised.value.__cause__.__traceback__ is not None  # the very error, with the place where it was raised


async def test_work_is_told_everything_once_and_who_leaves_waits_for_its_end() -> None:
    listens, files = anyio.Event(), open_files()

    def answer(question: Any) -> None:
        channel.tell(2)
        anyio.from_thread.run_sync(listens.set)

    channel, heard = Channel(answer), []
    channel.tell("before")

    async def wait(words: int, over: anyio.Event) -> None:
        heard.append(await lane.run(partial(remote_work.hear, words), channel))
        over.set()

    async with anyio.create_task_group() as group, ProcessLane() as lane:
        group.start_soon(wait, 3, first := anyio.Event())
        await anyio.wait_all_tasks_blocked()  # it waits for the worker to start
        channel.tell(1)
        with pytest.raises(SchedulerError, match="expected one that no work uses"):
            await lane.run(os.getpid, channel)
        await first.wait()
        listens = anyio.Event()
        group.start_soon(wait, 2, anyio.Event())
        await listens.wait()
        there = lane.processes
        channel.tell("last")
    assert heard == [["before", 1, 2], [2, "last"]]
    assert all(map(gone, there))
    assert lane.processes == []
    assert open_files() <= files
    with pytest.raises(SchedulerClosed, match="got one that was closed"):
        await lane.run(os.getpid)


def test_a_worker_whose_parent_is_killed_ends() -> None:
    command = [sys.executable, "-c", f"from {remote_work.__name__} import parent_to_be_killed as main; main()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"at work\n"
        parent.kill()
        assert parent.stdout.read() == b""  # the end: nobody has it open any more, and the worker had


def test_mistakes_are_told() -> None:
    with pytest.raises(ValueError, match="at least one worker, got 0"):
        ProcessLane(0)
    with pytest.raises(SchedulerError, match="expected to be asked in a worker process of a ProcessLane"):
        caller()


async def test_a_worker_that_does_not_end_is_killed(lane: ProcessLane, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one: it closes the lane that all share."""
    monkeypatch.setattr(processes, "EXIT_SECONDS", 0.1)
    there = await lane.run(os.getpid)
    os.kill(there, signal.SIGSTOP)
    await lane.aclose()
    assert gone(there)
