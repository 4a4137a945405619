"""Kills a daemon with SIGKILL at random moments while examples come in and updates run, and looks what became of each of them."""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import numpy as np

from tailor import MLArrayBatchProvider, MLModel, MLModelConfiguration, MLModelStore, MLParameterKey, MLUpdateTask
from tailor.client import Client, ExampleRecord, MLDaemonError, NewExample
from tests.faults.daemon_process import PATIENCE, DaemonProcess, running
from tests.faults.training import model

USERS = ("ann", "bob")
EACH = 10
"""Examples of an update."""
EPOCHS, SEED = 12, 7
MOST_WAITING = 3 * EACH
SETTINGS = f"""
[updates]
examples = {EACH}
most_examples = {EACH}
checkpoint_seconds = 0.01
parameters = {{ epochs = {EPOCHS}, seed = {SEED} }}
"""


@dataclass
class Report:
    """What came of it. ``problems``: a line for each thing that is not as it would be without a kill."""

    kills: int = 0
    while_beginning: int = 0
    sent_again: int = 0
    examples: int = 0
    updates: int = 0
    problems: list[str] = field(default_factory=list)


def example(user: str, number: int) -> dict[str, Any]:
    """One that hangs on its user and number alone."""
    x = np.random.default_rng([USERS.index(user), number]).normal(size=6).astype(np.float32)
    return {"x": x, "y_true": np.tanh(x[:2] * x[2:4])}


async def run_daemon_kills(kills: int, seed: int) -> Report:
    """Kills a daemon so often, and tells what is not as it should be."""
    report = Report()
    folder = Path(tempfile.mkdtemp(prefix="faults-daemon-"))
    try:
        with anyio.fail_after(PATIENCE + 30 * kills):
            await _run(folder, kills, random.Random(seed), report)
    finally:
        shutil.rmtree(folder)
    return report


async def _run(folder: Path, kills: int, generator: random.Random, report: Report) -> None:
    daemon = DaemonProcess(folder, SETTINGS)
    base = model(EPOCHS)
    base.save(folder / "steadfast.mlmodel")
    enough = anyio.Event()
    async with running(daemon):
        async with Client(daemon.socket) as client:
            await client.register(folder / "steadfast.mlmodel", name="steadfast")
        sent: dict[str, int] = {}

        async def stream(user: str, generator: random.Random) -> None:
            sent[user] = await _stream(daemon, user, generator, enough, report)

        async with anyio.create_task_group() as group:
            for user in USERS:
                group.start_soon(stream, user, random.Random(generator.random()))
            for _ in range(kills):
                if generator.random() < 0.2:
                    report.while_beginning += 1
                    await anyio.sleep(generator.uniform(0.2, 3.0))
                else:
                    await daemon.ready()
                    await anyio.sleep(generator.expovariate(1.5))
                await daemon.end(signal.SIGKILL)
                report.kills += 1
                daemon.start()
            await daemon.ready()
            enough.set()
        await _check(daemon, sent, report)
    async with MLModelStore(daemon.store) as store:
        damaged = (await store.verify()).problems
        report.problems += [f"store: {problem}" for problem in damaged]
        for user in USERS:
            found = (await store.model("steadfast", user)).content_hash
            expected = await _undisturbed(base, user, sent[user])
            if found != expected:
                report.problems.append(f"{user}: expected the model {expected}, got {found}")


async def _stream(daemon: DaemonProcess, user: str, generator: random.Random, enough: anyio.Event, report: Report) -> int:
    """Sends examples in their order, each part until it is acknowledged; how many were sent, a multiple of ``EACH``."""
    sent = 0
    while not (enough.is_set() and sent > 0 and sent % EACH == 0):
        count = generator.randint(1, EACH - sent % EACH)
        part = [NewExample(features=example(user, number), id=f"{user}-{number}") for number in range(sent, sent + count)]
        waiting = 0
        for attempt in range(10_000):
            try:
                async with Client(daemon.socket) as client:
                    added = await client.add_examples("steadfast", user, part)
                    if attempt and added.duplicates:
                        report.sent_again += added.duplicates
                    waiting = added.waiting
                    break
            except MLDaemonError as error:
                if error.status is not None:  # it answered, and refused
                    raise
                await anyio.sleep(0.05)
        sent += count
        while waiting >= MOST_WAITING:
            await anyio.sleep(0.05)
            with suppress(MLDaemonError):
                async with Client(daemon.socket) as client:
                    waiting = (await client.user("steadfast", user)).waiting
    return sent


async def _check(daemon: DaemonProcess, sent: dict[str, int], report: Report) -> None:
    async with Client(daemon.socket) as client:
        for user in USERS:
            with anyio.fail_after(PATIENCE):
                while True:
                    told = await client.user("steadfast", user)
                    if told.waiting + told.taken == 0:
                        break
                    await anyio.sleep(0.1)
            examples = await _all_examples(client, user)
            report.examples += sent[user]
            expected = [f"{user}-{number}" for number in range(sent[user])]
            found = Counter(record.id for record in examples)
            report.problems += [
                f"{user}: expected example {name} once, got it {found[name]} times" for name in expected if found[name] != 1
            ]
            report.problems += [f"{user}: expected no example {name}, got one" for name in found.keys() - set(expected)]
            report.problems += [
                f"{user}: expected {record.id} to be learned, got {record.state}" for record in examples if record.state != "learned"
            ]
            learned = Counter(record.version for record in examples)
            report.updates += len(learned)
            report.problems += [
                f"{user}: expected {EACH} examples in version {version}, got {count}" for version, count in learned.items() if count != EACH
            ]
            history = {version.identifier for version in await client.history("steadfast", user, most=1000)}
            if history != {version for version in learned if len(learned) <= 1000 or version in history}:
                report.problems.append(f"{user}: expected the versions that learned something, got others: {history ^ set(learned)}")


async def _all_examples(client: Client, user: str) -> list[ExampleRecord]:
    every: list[ExampleRecord] = []
    while page := await client.examples("steadfast", user, after=every[-1].id if every else "", most=1000):
        every += page
    return every


async def _undisturbed(base: MLModel, user: str, count: int) -> str:
    """The hash of the model that learns the same examples without a daemon, an update after the other."""
    learned = base
    for begin in range(0, count, EACH):
        examples = [example(user, number) for number in range(begin, begin + EACH)]
        configuration = MLModelConfiguration(parameters={MLParameterKey.EPOCHS: EPOCHS, MLParameterKey.SEED: SEED})
        learned = (await MLUpdateTask(learned, MLArrayBatchProvider(examples), configuration)).model
    return learned.content_hash
