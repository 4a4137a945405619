"""The daemon under load: examples accepted durably, predictions through the socket beside those in a process, idleness, and many users.

Each part starts a daemon of its own in a process of its own, on a Unix socket in a temporary folder. Prints Markdown tables.

    python benchmarks/daemon.py [--seconds 5] [--idle 30] [--users 10000] [--processes 1] [--only intake,predictions,idle,users]
"""

from __future__ import annotations

import argparse
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import msgspec
import numpy as np
import psutil

from tailor import MLModel
from tailor.building import NeuralNetworkBuilder, SgdParams, array_feature
from tailor.client import Client, MLDaemonError

PARTS = ("intake", "predictions", "idle", "users")


def classifier() -> MLModel:
    """Two numbers are "in" or "out"; its two dense layers learn."""
    rng = np.random.default_rng(1)
    builder = NeuralNetworkBuilder([array_feature("x", (2,))], [array_feature("p", (2,))], "classifier", ["in", "out"])
    builder.add_inner_product("hidden", rng.normal(size=(16, 2)), np.zeros(16), 2, 16, True, "x", "h")
    builder.add_activation("tanh", "TANH", "h", "a")
    builder.add_inner_product("scores", rng.normal(size=(2, 16)) / 4, np.zeros(2), 16, 2, True, "a", "s")
    builder.add_softmax("softmax", "s", "p")
    builder.make_updatable(["hidden", "scores"])
    builder.set_categorical_cross_entropy_loss("loss", "p")
    builder.set_sgd_optimizer(SgdParams(lr=0.1, batch=8))
    builder.set_epochs(20)
    return MLModel.from_spec(builder.spec, "circle")


@dataclass
class Running:
    """A daemon that answers at ``socket``."""

    socket: Path
    process: psutil.Process

    def client(self) -> Client:
        return Client(self.socket)


def started(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


@asynccontextmanager
async def daemon(settings: str) -> AsyncIterator[Running]:
    """Begins with the model registered, ends with SIGTERM."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        socket = folder / "socket"
        (folder / "tailor.toml").write_text(f'state = "state"\nstore = "store"\n{settings}\n[http]\nsocket = "socket"\n', encoding="utf-8")
        classifier().save(folder / "circle.mlmodel")
        command = [sys.executable, "-m", "tailor.cli", "daemon", "--config", str(folder / "tailor.toml")]
        process = started(command, folder / "log")
        try:
            with anyio.fail_after(60):
                while True:
                    if process.poll() is not None:
                        raise SystemExit(f"the daemon ended: {(folder / 'log').read_text()}")
                    with suppress(MLDaemonError):
                        async with Client(socket) as client:
                            await client.register(folder / "circle.mlmodel")
                            break
                    await anyio.sleep(0.05)
            yield Running(socket, psutil.Process(process.pid))
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                await anyio.to_thread.run_sync(partial(process.wait, 60))
            process.kill()
            process.wait()


NEVER = "[updates]\nexamples = 0\n"


async def intake(seconds: float) -> None:
    """Batches as fast as they are acknowledged: each is on the disk by then."""
    print("| batches of | clients | acknowledged a second | p99 of a batch, ms | the daemon's processor time of a batch, ms |")
    print("|---:|---:|---:|---:|---:|")
    async with daemon(NEVER + "[limits]\nexamples_per_user = 10000000\n") as running:
        for size, clients in ((1, 16), (10, 8), (100, 4), (1000, 2)):
            rng = np.random.default_rng(size)
            rows = [{"x": [float(value) for value in row], "classLabel": "in"} for row in rng.normal(size=(size, 2))]
            took: list[float] = []
            begun = time.perf_counter()
            before = sum(running.process.cpu_times()[:2])

            async def send(
                user: str, rows: list[dict[str, object]] = rows, took: list[float] = took, until: float = begun + seconds
            ) -> None:
                async with running.client() as client:
                    while not took or time.perf_counter() < until:
                        began = time.perf_counter()
                        await client.add_examples("circle", user, rows)
                        took.append(time.perf_counter() - began)

            async with anyio.create_task_group() as group:
                for number in range(clients):
                    group.start_soon(send, f"user-{size}-{number}")
            spent = time.perf_counter() - begun
            processor = (sum(running.process.cpu_times()[:2]) - before) / len(took)
            print(
                f"| {size} | {clients} | {len(took) * size / spent:,.0f} | {percentile(took, 99) * 1e3:.1f} | {processor * 1e3:.2f} |",
                flush=True,
            )


def asked(socket_path: Path, seconds: float) -> list[float]:
    """How long predictions take by bare HTTP over one connection, without a client library's own time."""
    body = msgspec.json.encode({"inputs": [{"x": [0.1, 0.2]}]})
    head = "POST /v1/models/circle/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    took: list[float] = []
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(socket_path))
        until = time.perf_counter() + seconds
        while not took or time.perf_counter() < until:
            began = time.perf_counter()
            connection.sendall(head.encode() + body)
            answer = connection.recv(1 << 16)
            while answer.count(b"}") < 2:
                answer += connection.recv(1 << 16)
            took.append(time.perf_counter() - began)
            assert answer.startswith(b"HTTP/1.1 200"), answer
    return took


async def predictions(seconds: float, processes: int) -> None:
    """The socket and this process take turns, beside a daemon that learns from what it was given before."""
    model = classifier()
    example = {"x": np.asarray([0.1, 0.2], np.float32)}
    model.predict(example)
    took: dict[str, list[float]] = {name: [] for name in ("quiet", "inside", "through", "client")}
    async with (
        daemon("[updates]\nexamples = 20\nmost_examples = 20\n") as running,
        running.client() as client,
    ):
        for _ in range(50):
            await client.predict("circle", None, [example])
        took["quiet"] = asked(running.socket, seconds)
        rng = np.random.default_rng(3)
        for user in range(8):
            rows = [{"x": row, "classLabel": "in" if row @ row < 1 else "out"} for row in rng.normal(size=(1000, 2))]
            await client.add_examples("circle", f"user-{user}", rows)
        for _ in range(4):
            took["through"] += asked(running.socket, seconds / 4)
            until = time.perf_counter() + seconds / 4
            while time.perf_counter() < until:
                began = time.perf_counter()
                model.predict(example)
                took["inside"].append(time.perf_counter() - began)
            until = time.perf_counter() + seconds / 4
            while time.perf_counter() < until:
                began = time.perf_counter()
                await client.predict("circle", None, [example])
                took["client"].append(time.perf_counter() - began)
        status = await client.status()
    print("\n| a prediction, ms | median | p99 |\n|---|---:|---:|")
    names = {
        "inside": "in a process, beside a daemon that learns",
        "through": "through the socket of a daemon that learns",
        "client": "the same, by tailor.client",
        "quiet": "through the socket, nothing else to do",
    }
    for name, what in names.items():
        print(f"| {what} | {statistics.median(took[name]) * 1e3:.2f} | {percentile(took[name], 99) * 1e3:.2f} |")
    bar = 3 * percentile(took["inside"], 99) * 1e3 + 2
    print(f"\n3 x the p99 in a process plus 2 ms: {bar:.2f} ms; examples still to be learned at the end: {status.waiting}", flush=True)


async def idle(seconds: float) -> None:
    """Nothing comes in: first with the model as it was loaded, then once it has predicted."""
    print("\n| idle daemon | of a core | resident | its own |\n|---|---:|---:|---:|")
    async with daemon("") as running:
        for what in ("model loaded", "and has predicted"):
            if what != "model loaded":
                async with running.client() as client:
                    await client.predict("circle", None, [{"x": [0.1, 0.2]}])
            await anyio.sleep(min(seconds, 3))
            before = sum(running.process.cpu_times()[:2])
            await anyio.sleep(seconds)
            share = (sum(running.process.cpu_times()[:2]) - before) / seconds if seconds else 0.0
            memory = running.process.memory_full_info()
            print(f"| {what} | {share:.2%} | {memory.rss / 2**20:.0f} MB | {memory.uss / 2**20:.0f} MB |", flush=True)


async def users(count: int) -> None:
    """Users are registered, some have examples; a page of them is asked for."""
    async with daemon(NEVER) as running, running.client() as client:
        before = running.process.memory_info().rss
        begun = time.perf_counter()
        limiter = anyio.Semaphore(32)

        async def add(number: int) -> None:
            async with limiter:
                await client.add_user("circle", f"user-{number:06}")

        async with anyio.create_task_group() as group:
            for number in range(count):
                group.start_soon(add, number)
        took = time.perf_counter() - begun
        more = running.process.memory_info().rss - before
        asked: list[float] = []
        for _ in range(20):
            began = time.perf_counter()
            page = await client.users("circle", after=f"user-{count // 2:06}", most=100)
            asked.append(time.perf_counter() - began)
        began = time.perf_counter()
        status = await client.status()
        told = time.perf_counter() - began
        print("\n| registered users | seconds | memory for them | models in memory | a page of 100, ms | status, ms |")
        print("|---:|---:|---:|---:|---:|---:|")
        row = [f"{status.users}", f"{took:.1f}", f"{more / 2**20:.0f} MB", f"{status.models_in_memory}"]
        print("| " + " | ".join([*row, f"{statistics.median(asked) * 1e3:.1f}", f"{told * 1e3:.1f}"]) + " |")
        assert len(page) == min(100, count - count // 2 - 1) or count < 3


def percentile(values: list[float], which: float) -> float:
    return float(np.percentile(values, which))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--idle", type=float, default=30.0)
    parser.add_argument("--processes", type=int, default=0, help="worker processes of the daemon that learns while it predicts")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--only", default=",".join(PARTS))
    options = parser.parse_args()
    wanted = options.only.split(",")
    parts = {
        "intake": partial(intake, options.seconds),
        "predictions": partial(predictions, options.seconds, options.processes),
        "idle": partial(idle, options.idle),
        "users": partial(users, options.users),
    }
    for name, part in parts.items():
        if name in wanted:
            anyio.run(part)


if __name__ == "__main__":
    main()
