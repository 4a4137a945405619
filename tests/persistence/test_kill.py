"""A writer that is killed, by a real signal, before each of its steps and in the midst of its work."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tailor.persistence import atomic, write_atomically

OLD, NEW = b"old" * 10_000, b"new!" * 10_000
TEMPORARY = re.compile(r"\.tailor-[0-9a-f]{16}\.tmp")

# Announces every step on a line of its own and takes it when a line has come back.
STEPWISE = """
import sys
sys.path.insert(0, sys.argv[1])
import atomic

def announced(name):
    step = getattr(atomic.Files, name)
    def announce(self, *arguments):
        print(name, flush=True)
        sys.stdin.readline()
        if name == "write":
            arguments = (arguments[0], arguments[1][:16_384])
        return step(self, *arguments)
    return announce

names = ("create", "permit", "write", "flush", "close", "replace", "flush_folder", "remove")
files = type("Stepwise", (atomic.Files,), {name: announced(name) for name in names})()
atomic.write_atomically(sys.argv[2], b"new!" * 10_000, mode=0o600, files=files)
print("done", flush=True)
"""

# Replaces the file over and over, and tells when each is there.
RESTLESS = """
import sys
sys.path.insert(0, sys.argv[1])
import atomic

for generation in range(10_000):
    atomic.write_atomically(sys.argv[2], (b"%06d" % generation for _ in range(2_000)))
    print(generation, flush=True)
"""


@contextmanager
def started(program: str, target: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that loads nothing but the writer; dead at the end."""
    command = [sys.executable, "-c", program, str(Path(atomic.__file__).parent), str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def killed_before(step: int, target: Path) -> list[str]:
    """Lets a writer take ``step`` steps and kills it before the next; the steps announced, that one included."""
    announced: list[str] = []
    with started(STEPWISE, target) as process:
        assert process.stdin is not None and process.stdout is not None
        for _ in range(step + 1):
            announced.append(process.stdout.readline().strip())
            if len(announced) > step or announced[-1] == "done":
                break
            process.stdin.write("\n")
            process.stdin.flush()
    return announced


def test_killed_before_any_step_the_old_or_the_new_file_is_whole(tmp_path: Path) -> None:
    steps: list[str] = []
    for step in range(20):
        folder = tmp_path / str(step)
        folder.mkdir()
        target = folder / "a"
        target.write_bytes(OLD)
        steps = killed_before(step, target)
        assert target.read_bytes() == (NEW if "replace" in steps[:-1] else OLD)
        debris = [entry.name for entry in folder.iterdir() if entry != target]
        assert all(TEMPORARY.fullmatch(name) for name in debris)
        assert len(debris) == ("create" in steps[:-1] and "replace" not in steps[:-1])
        write_atomically(target, b"next")
        assert target.read_bytes() == b"next", "what a dead writer left is in nobody's way"
        if steps[-1] == "done":
            break
    assert steps == ["create", "write", "write", "write", "permit", "flush", "close", "replace", "flush_folder", "done"]


@pytest.mark.parametrize("generations", [1, 4, 9])
def test_killed_at_any_moment_a_whole_file_is_there(generations: int, tmp_path: Path) -> None:
    target = tmp_path / "a"
    with started(RESTLESS, target) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(generations)]
    whole = target.read_bytes()
    assert whole == whole[:6] * 2_000
    assert int(whole[:6]) >= told[-1] == generations - 1
    assert sum(TEMPORARY.fullmatch(entry.name) is not None for entry in tmp_path.iterdir()) == len(list(tmp_path.iterdir())) - 1 <= 1
