"""What a daemon is put through while it works: after each it must answer, have told what was wrong, and have lost nothing."""

from __future__ import annotations

import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import numpy as np
import psutil
from anyio.abc import ByteStream

from tailor import MLModel, MLModelStore
from tailor.building import KNearestNeighborsClassifierBuilder, NeuralNetworkBuilder, array_feature, image_feature
from tailor.client import Client, MLDaemonError
from tests.daemon.examples.files import png
from tests.faults.daemon_process import PATIENCE, DaemonProcess, running

SLOW = 1000
REQUEST_SECONDS = 5.0
SETTINGS = """
[updates]
examples = 0
[limits]
pixels = 1000000
[models.watched]
path = "watched.mlmodel"
"""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What was done, what came of it in words, and whether that is as it should be."""

    name: str
    told: str
    well: bool


class Stage:
    """A daemon with two models, and what has been acknowledged by it."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.daemon = daemon
        self.kept = 0
        self._number = 0

    def client(self) -> Client:
        return Client(self.daemon.socket)

    @property
    def port(self) -> int:
        """Of TCP on loopback."""
        [found] = [one for one in psutil.Process(self.daemon.pid).net_connections("tcp") if one.status == psutil.CONN_LISTEN]
        return int(found.laddr.port)

    async def add(self, count: int = 10) -> None:
        """Adds examples; counts those that are acknowledged."""
        rows = [{"x": [float(self._number + number), 1.0], "label": "a"} for number in range(count)]
        self._number += count
        async with self.client() as client:
            await client.add_examples("points", "ann", rows)
        self.kept += count

    async def counted(self) -> int:
        """How many examples the daemon has."""
        async with self.client() as client:
            user = await client.user("points", "ann")
        return user.waiting + user.taken + user.learned + user.set_aside

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[ByteStream]:
        """A bare connection to its port."""
        async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
            yield stream

    async def said(self, request: bytes) -> bytes:
        """What comes back for bytes that are sent, up to the end of the connection; at most 64 KiB."""
        async with self.wire() as stream:
            await stream.send(request)
            answer = b""
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while len(answer) < 1 << 16:
                    answer += await stream.receive()
            return answer


async def full_disk(stage: Stage) -> Trouble:
    """Files may grow no more, which SQLite tells as an error of the disk."""
    await stage.add()
    process = psutil.Process(stage.daemon.pid)
    refused: list[str] = []
    process.rlimit(resource.RLIMIT_FSIZE, (1 << 12, resource.RLIM_INFINITY))
    try:
        for _ in range(5):
            try:
                await stage.add(200)
            except MLDaemonError as error:
                refused.append(f"{error.status}: {error}")
    finally:
        process.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await stage.add()
    counted = await stage.counted()
    well = bool(refused) and all(told.startswith(("500", "507")) for told in refused) and counted == stage.kept
    return Trouble(
        "a full disk", f"{len(refused)} of 5 requests were refused ({refused[-1] if refused else ''}); {counted} of {stage.kept} kept", well
    )


async def broken_store(stage: Stage) -> Trouble:
    """The store's folder is a file for a while: examples are taken, an update is refused, and made when the store is back."""
    await stage.add()
    store, away = stage.daemon.store, stage.daemon.folder / "away"
    there = store.exists()
    if there:
        store.rename(away)
    store.write_bytes(b"not a store")
    async with stage.client() as client:
        try:
            told = f"an update is {(await client.update('points', 'ann')).state}"
        except MLDaemonError as error:
            told = f"{error.status}: {error}"
        await stage.add()
        store.unlink()
        if there:
            away.rename(store)
        with anyio.fail_after(PATIENCE):
            record = await client.wait(await client.update("points", "ann"))
    counted = await stage.counted()
    return Trouble("a broken store", f"{told}; then {record.state}", record.state == "completed" and counted == stage.kept)


async def replaced_model(stage: Stage) -> Trouble:
    """The file that a model was registered from becomes something else."""
    async with stage.client() as client:
        example = {"x": np.asarray([0.5, 0.25], np.float32)}
        before = (await client.predict("watched", None, [example])).outputs
        await client.add_user("watched", "bob")
        (stage.daemon.folder / "watched.mlmodel").write_bytes(b"something else")
        after = (await client.predict("watched", "bob", [example])).outputs
        try:
            await client.reload()
            told = "a reload says nothing"
        except MLDaemonError as error:
            told = f"a reload says: {error}"
        again = (await client.predict("watched", None, [example])).outputs
    same = all(np.array_equal(np.asarray(one[0]["y"]), np.asarray(before[0]["y"])) for one in (after, again))
    return Trouble("a model's file replaced", f"answers as before: {same}; {told}", same)


async def half_requests(stage: Stage) -> Trouble:
    """Half a head, half a body, and a body that is no length of its own."""
    token = (stage.daemon.folder / "state" / "token").read_text(encoding="utf-8").strip().encode()
    head = (
        b"POST /v1/models/points/users/ann/examples HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer " % stage.port + token + b"\r\n"
    )
    requests = {
        "half a head": head[:60],
        "half a body": head + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
        "no HTTP": b"\x00\xff\x00\xff\r\n\r\n",
    }
    told = []
    well = True
    for name, request in requests.items():
        began = time.monotonic()
        with anyio.move_on_after(REQUEST_SECONDS * 6) as scope:
            answer = (await stage.said(request)).split(b"\r\n", 1)[0].decode("latin-1")
        if scope.cancelled_caught:
            well, answer = False, "still open"
        told.append(f"{name}: {answer or 'closed'} after {time.monotonic() - began:.1f} s")
    return Trouble("half a request", "; ".join(told), well and await stage.counted() == stage.kept)


async def slow_clients(stage: Stage) -> Trouble:
    """A thousand connections that say a byte and no more, while others are served."""
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(stage.wire()) for _ in range(SLOW)]
        for stream in streams:
            with suppress(anyio.BrokenResourceError):
                await stream.send(b"G")
        took = []
        async with stage.client() as client:
            for _ in range(100):
                began = time.perf_counter()
                await client.predict("watched", None, [{"x": [0.5, 0.25]}])
                took.append(time.perf_counter() - began)
        closed = 0
        with anyio.move_on_after(REQUEST_SECONDS * 12):
            for stream in streams:
                with suppress(anyio.BrokenResourceError, anyio.EndOfStream):
                    while True:
                        await stream.receive()
                closed += 1
    told = (
        f"{closed} of {SLOW} let go; predictions meanwhile: median {statistics.median(took) * 1e3:.1f} ms, longest {max(took) * 1e3:.0f} ms"
    )
    return Trouble(f"{SLOW} slow clients", told, closed == SLOW)


async def wrong_token(stage: Stage) -> Trouble:
    """Guesses, and a token of another scheme."""
    codes = set()
    for given in (b"", b"Bearer wrong", b"Bearer " + b"x" * 5000, b"Basic dG9rZW46", b"Bearer \xff\xfe"):
        header = b"Authorization: " + given + b"\r\n" if given else b""
        answer = await stage.said(b"GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n" % stage.port + header + b"\r\n")
        codes.add(answer.split(b" ")[1].decode() if answer else "closed")
    return Trouble("a wrong token", f"five guesses: {', '.join(sorted(codes))}", codes <= {"401", "400"} and "401" in codes)


CLIMBING = (
    "/../../../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2fetc%2fpasswd",
    "/v1/models/..%2f..%2fetc%2fpasswd",
    "/v1/models/%2e%2e",
    "/v1/models/points/users/..%2f..%2fann",
    "/v1/models/points%00/users/ann",
    "/page/..%5c..%5cetc",
)


async def climbing_paths(stage: Stage) -> Trouble:
    """Paths that lead out of where they should be."""
    token = (stage.daemon.folder / "state" / "token").read_text(encoding="utf-8").strip()
    codes = []
    leaked = False
    for path in CLIMBING:
        for method in ("GET", "PUT"):
            head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{stage.port}\r\nAuthorization: Bearer {token}\r\n"
            answer = await stage.said(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
            codes.append(answer.split(b" ")[1].decode() if answer else "closed")
            leaked = leaked or b"root:" in answer
    well = not leaked and all(code.startswith("4") for code in codes)
    return Trouble("a path that climbs", f"{len(codes)} requests: {', '.join(sorted(set(codes)))}", well)


async def image_bombs(stage: Stage) -> Trouble:
    """A few hundred bytes that say they are gigapixels, and such as are."""
    process = psutil.Process(stage.daemon.pid)
    before = process.memory_info().rss
    bombs = {"says 4 gigapixels": png(65_000, 65_000, rows=b""), "is 100 megapixels": png(10_000, 10_000)}
    told, well = [], True
    for name, data in bombs.items():
        began = time.perf_counter()
        try:
            async with stage.client() as client:
                await client.predict("pictures", None, [{"image": data}])
            well = False
            answer = "was taken"
        except MLDaemonError as error:
            answer = f"{error.status}"
            well = well and error.status == 422
        told.append(f"{name} ({len(data)} bytes): {answer} after {(time.perf_counter() - began) * 1e3:.0f} ms")
    more = process.memory_info().rss - before
    return Trouble("an image bomb", f"{'; '.join(told)}; {more / 2**20:+.0f} MB", well and more < 64 << 20)


TROUBLES: tuple[Callable[[Stage], Awaitable[Trouble]], ...] = (
    full_disk,
    broken_store,
    replaced_model,
    half_requests,
    slow_clients,
    wrong_token,
    climbing_paths,
    image_bombs,
)


def line() -> MLModel:
    """y = x."""
    builder = NeuralNetworkBuilder([array_feature("x", (2,))], [array_feature("y", (2,))])
    builder.add_inner_product("dense", np.eye(2), np.zeros(2), 2, 2, True, "x", "y")
    return MLModel.from_spec(builder.spec, "line")


def pictures() -> MLModel:
    """An image as it is."""
    builder = NeuralNetworkBuilder([image_feature("image", 8, 8, "GRAYSCALE")], [array_feature("y", (1, 8, 8))])
    builder.add_activation("linear", "LINEAR", "image", "y", [1.0, 0.0])
    return MLModel.from_spec(builder.spec, "pictures")


def points() -> MLModel:
    """Nearest neighbours."""
    return MLModel.from_spec(KNearestNeighborsClassifierBuilder("x", "label", 2, "nobody", number_of_neighbors=1).spec, "points")


async def run_daemon_troubles() -> list[Trouble]:
    """One daemon, one trouble after the other; in the end all that was acknowledged is there, and the store is whole."""
    folder = Path(tempfile.mkdtemp(prefix="faults-daemon-"))
    try:
        line().save(folder / "watched.mlmodel")
        daemon = DaemonProcess(folder, SETTINGS, f"port = 0\nrequest_seconds = {REQUEST_SECONDS}\n")
        stage = Stage(daemon)
        async with running(daemon):
            async with stage.client() as client:
                for made in (points(), pictures()):
                    made.save(folder / f"{made.name}.mlmodel")
                    await client.register(folder / f"{made.name}.mlmodel")
            found = []
            for trouble in TROUBLES:
                found.append(await trouble(stage))
                await stage.add()
            counted = await stage.counted()
        async with MLModelStore(daemon.store) as store:
            problems = (await store.verify()).problems
        told = f"{counted} of {stage.kept} examples that were acknowledged are there; the store has {len(problems)} problems"
        return [*found, Trouble("in the end", told, counted == stage.kept and not problems)]
    finally:
        shutil.rmtree(folder)
