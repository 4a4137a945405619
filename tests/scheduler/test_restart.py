"""A process that is killed with SIGKILL again and again: no background request is lost, and none is run twice to the end.

In real time, in processes of their own: nothing else can be killed like that. Nobody waits for a time that passes.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import anyio
import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # of the test, which only waits; what is tested runs in other processes


PROGRAM = """
import os, signal, sys
import anyio
from tailor.scheduler import BGProcessingTaskRequest, BGTaskScheduler, JobFinished, Scheduler, SQLiteRequestStore

path, log, dies = sys.argv[1:]

def note(what):
    with open(log, "a") as file:
        file.write(what + "\\n")
    if what == dies:
        os.kill(os.getpid(), signal.SIGKILL)

async def handler(task):
    note(f"begins {task.identifier}")
    await anyio.lowlevel.checkpoint()
    note(f"ends {task.identifier}")
    task.set_task_completed(True)

async def main():
    with SQLiteRequestStore(path) as store:
        async with Scheduler() as scheduler:
            scheduler.observers.add(lambda event: note(f"finished {event.identifier}") if isinstance(event, JobFinished) else None)
            background = BGTaskScheduler(scheduler, store, at_once=1)
            background.register("a", handler)
            background.register("b", handler)
            async with background:
                if dies == "submitted":
                    await background.submit(BGProcessingTaskRequest("a"))
                    await background.submit(BGProcessingTaskRequest("b"))
                    note("submitted")
                while "0 pending, 0 launched" not in repr(background):
                    await anyio.lowlevel.checkpoint()

anyio.run(main)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system with SIGKILL")
async def test_what_was_launched_when_the_process_was_killed_is_launched_again_and_what_had_ended_is_not(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for dies in ("submitted", "begins a", "finished a", "never"):
        ended = await anyio.run_process([sys.executable, "-c", PROGRAM, str(tmp_path / "requests.db"), str(log), dies], check=False)
        assert (ended.returncode, ended.stderr) == (0 if dies == "never" else -signal.SIGKILL, b"")
    lines = (await anyio.Path(log).read_text()).splitlines()
    assert [line for line in lines if line != "submitted"] == [
        "begins a",  # killed
        *("begins a", "ends a", "finished a"),  # killed
        *("begins b", "ends b", "finished b"),
    ]
