"""Work for worker processes, which find it by its name."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, ClassVar

import anyio

from tailor.scheduler import ProcessLane, caller


class Awkward(Exception):
    """Comes out of a pickle otherwise than it went in: not at all."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Left:
    """Something that work leaves behind, and that tells when it is dropped."""

    dropped: ClassVar[list[str]] = []

    def __init__(self, name: str) -> None:
        self.name = name

    def close(self) -> None:
        self.dropped.append(self.name)


def raise_awkward() -> None:
    raise Awkward(1, 2)


def make_function() -> Callable[[], None]:
    return lambda: None


def die(by: signal.Signals) -> None:
    os.kill(os.getpid(), by)


def ask_many(questions: list[Any]) -> list[Any]:
    return [caller().ask(question) for question in questions]


def ask_and_wrap(question: Any) -> None:
    try:
        caller().ask(question)
    except LookupError as error:
        raise RuntimeError("asked in vain") from error


def leave(name: str) -> tuple[int, list[str], list[str]]:
    """Process, names that this channel's work has left before, names that were dropped since the worker began."""
    kept = caller().kept
    before = list(kept)
    kept[name] = Left(name)
    return os.getpid(), before, list(Left.dropped)


def hear(words: int) -> list[Any]:
    """Tells the caller that it listens, and waits for so many words."""
    heard: SimpleQueue[Any] = SimpleQueue()
    with caller().listening(heard.put):
        caller().ask("listening")
        return [heard.get() for _ in range(words)]


def work_until_told() -> str:
    with caller().listening(print):
        caller().ask("at work")
        while True:
            time.sleep(1)  # until its process is ended: nothing is measured by it


def surroundings() -> tuple[list[str], str | None]:
    return sys.path, os.environ.get("OMP_NUM_THREADS")


def parent_to_be_killed() -> None:
    """A program whose worker works for ever; says so on standard output, which the worker has from it."""

    async def main() -> None:
        from tailor.scheduler import Channel

        async with ProcessLane() as lane:
            await lane.run(work_until_told, Channel(partial(print, flush=True)))

    anyio.run(main)
