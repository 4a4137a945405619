"""Stores on servers: real ones on loopback, which these tests start and end, and one that misbehaves."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from anyio import fail_after
from anyio.to_thread import run_sync

from tailor.persistence import Backend, BackendError, Body, Expected, StoreError, open_backend
from tailor.persistence.backends import read_whole
from tailor.persistence.testing import check_backend, promises

from .servers import azure, webdav
from .servers.google import Google
from .servers.misbehaving import Misbehaving
from .servers.process import Server

pytestmark = pytest.mark.anyio

SECRET = "c2VjcmV0LWtleS1vZi1hLXRlc3Q="
DAV_SETTINGS = "timeout=20"
# What depends on the event loop: threads, errors out of them, cancellation.
AWAITED = (
    promises.it_happens_in_worker_threads,
    promises.errors_of_sinks_come_through,
    promises.readers_see_the_old_or_the_new,
    promises.the_cancelled_leave_nothing_half_done,
)


@dataclass
class Place:
    """A place on a server; the server is the same for all tests here. ``whole``: the loop on which all promises are checked."""

    server: Server
    url: str
    whole: str
    folder: Path = field(default_factory=Path)

    def open(self, prefix: str = "", settings: str = "") -> Backend:
        """A handle of its own."""
        base, _, query = self.url.partition("?")
        return open_backend(f"{base}/{prefix}?{query}&{settings}")


@pytest.fixture(scope="module")
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


def python_server(module: str, log: Path, *arguments: str) -> Server:
    return Server((sys.executable, "-m", f"tests.persistence.servers.{module}", "{port}", str(log), *arguments), log)


@pytest.fixture(scope="module")
def s3(servers: ExitStack, folder: Path) -> Place:
    pytest.importorskip("obstore", reason="needs obstore")
    pytest.importorskip("moto", reason="needs moto, which is in the extra peers")
    server = servers.enter_context(python_server("s3", folder / "s3.log"))
    return Place(server, f"s3://bucket/pre/fix?endpoint={server.url}&region=us-east-1", "trio")


@pytest.fixture(scope="module")
def dav(servers: ExitStack, folder: Path) -> Place:
    pytest.importorskip("wsgidav", reason="needs wsgidav, which is in the extra peers")
    kept = folder / "dav"
    kept.mkdir()
    server = servers.enter_context(python_server("webdav", folder / "dav.log", str(kept)))
    return Place(server, f"{with_user(server.url)}/new folder/store?{DAV_SETTINGS}", "asyncio", folder=kept)


@pytest.fixture(scope="module")
def az(servers: ExitStack, folder: Path) -> Place:
    pytest.importorskip("obstore", reason="needs obstore")
    server = servers.enter_context(azure.azurite(folder / "azure"))
    azure.make_container(server, "kept")
    return Place(server, f"az://kept/pre/fix?account={azure.ACCOUNT}&endpoint={server.url}", "trio")


def with_user(url: str, password: str = webdav.PASSWORD) -> str:
    return url.replace("://", f"://user:{password.replace('/', '%2F').replace(':', '%3A')}@")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "WEBDAV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", azure.KEY)


@pytest.fixture(params=["s3", "dav", "az"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


async def test_a_server_keeps_what_backends_promise(place: Place, anyio_backend_name: str) -> None:
    def make() -> AbstractAsyncContextManager[Backend]:
        return aclosing(place.open())

    if anyio_backend_name == place.whole:
        await check_backend(make)
        return
    async with make() as one, make() as other:
        for check in AWAITED:
            await check(one, other, f"again/{check.__name__}/")


def large(size: int = (17 << 20) + 1) -> tuple[bytes, Body]:
    data = Random(size).randbytes(size)
    return data, Body(size, lambda: (memoryview(data)[at : at + 700_000] for at in range(0, size, 700_000)))


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_more_than_fits_into_a_request_comes_back(place: Place) -> None:
    data, body = large()
    async with aclosing(place.open()) as backend:
        before = len(place.server.requests()) if place.server.log else 0
        tag = await backend.write("large/a", body)
        digest = hashlib.sha256()
        entry = await backend.read("large/a", digest.update)
        assert digest.digest() == hashlib.sha256(data).digest()
        assert (entry.size, entry.tag, await backend.list("large/")) == (len(data), tag, [entry])
        if place.url.startswith("s3"):
            assert [line.split()[0] for line in place.server.requests()[before:]].count("PUT") == 3  # of 8 MiB at most

        def chunks() -> Iterator[bytes]:
            yield data[: 9 << 20]
            raise KeyError("in the middle")

        with pytest.raises(KeyError, match="in the middle"):
            await backend.write("large/a", Body(len(data), chunks))
        assert await backend.list("large/") == [entry]
        await backend.remove("large/a")


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_thousand_heads_are_one_request(s3: Place, dav: Place) -> None:
    names = {f"heads/a/{number}/main" for number in range(1_100)}
    async with aclosing(open_backend(s3.url.replace("bucket/pre/fix", "many"))) as backend:
        before = len(s3.server.requests())
        listed = await backend.list("heads/")
        assert {entry.key for entry in listed} == names  # and not what somebody else keeps there
        assert len(s3.server.requests()) - before == 2
    for number in range(300):
        folder = dav.folder / "many" / "heads" / "a" / str(number) / "main"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"~00000000-{number:016x}").write_bytes(b"x")
    async with aclosing(open_backend(f"{with_user(dav.server.url)}/many?{DAV_SETTINGS}")) as backend:
        before = len(dav.server.requests())
        assert len(await backend.list("heads/")) == 300
        assert len(dav.server.requests()) - before == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_google_is_asked_for_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore", reason="needs obstore")
    with Google() as server:
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", server.account)
        url = f"gs://bucket/a?endpoint={server.url}"
        await check_backend(lambda: aclosing(open_backend(url)))
        async with aclosing(open_backend(url.replace("bucket", "nowhere"))) as backend:
            await every_question(backend, Failing("expected a bucket 'nowhere'"))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("kind", ["shallow", "flat"])
async def test_servers_that_list_one_folder_at_a_time_are_listed_whole(kind: str, servers: ExitStack, dav: Place, tmp_path: Path) -> None:
    with python_server("webdav", tmp_path / "log", str(tmp_path), kind) as server:
        async with aclosing(open_backend(f"{with_user(server.url)}/?{DAV_SETTINGS}")) as backend:
            await promises.lists_are_whole_and_in_order(backend, backend, "a/")


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_server_that_ignores_conditions_is_found_out(s3: Place, tmp_path: Path) -> None:
    with python_server("s3", tmp_path / "log", "ignoring") as server:
        url = f"s3://bucket/a?endpoint={server.url}&region=us-east-1"
        async with aclosing(open_backend(url)) as backend:
            assert backend.conditional
            for expected in Expected.NOTHING, "0":
                with pytest.raises(BackendError, match="conditional=false"):
                    await backend.write("a", Body.of(b"x"), expected=expected)
            assert await backend.look("a") is None
        async with aclosing(open_backend(url, conditional=False)) as backend:
            assert not backend.conditional
            await promises.conditions_are_kept(backend, backend, "b/")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_server_that_dies_while_it_is_given_much_keeps_the_old(dav: Place) -> None:
    """Of the servers here only this one keeps on the disk, at once, what it has acknowledged."""
    data, _ = large()

    def chunks() -> Iterator[bytes]:
        yield data[: 9 << 20]
        dav.server.kill()
        yield data[9 << 20 :]

    async with aclosing(dav.open(settings="retries=0")) as backend:
        await backend.write("killed/a", Body.of(b"old"))
        for key in "killed/a", "killed/b":
            with pytest.raises(BackendError):
                await backend.write(key, Body(len(data), chunks))
            await run_sync(dav.server.restart)
    async with aclosing(dav.open()) as backend:
        assert (await read_whole(backend, "killed/a", most=len(data)))[0] == b"old"
        assert [entry.key for entry in await backend.list("killed/")] == ["killed/a"]
        await backend.write("killed/b", Body.of(b"again"))
        assert (await read_whole(backend, "killed/b", most=9))[0] == b"again"


async def every_question(backend: Backend, ask: Callable[[str, Callable[[], Awaitable[object]]], Awaitable[None]]) -> None:
    await ask("read", lambda: backend.read("a", lambda chunk: None))
    await ask("read_many", lambda: backend.read_many(["a", "b"], most=9))
    await ask("write", lambda: backend.write("a", Body.of(b"x")))
    await ask("conditional write", lambda: backend.write("a", Body.of(b"x"), expected=Expected.NOTHING))
    await ask("look", lambda: backend.look("a"))
    await ask("list", lambda: backend.list("a/"))
    await ask("remove", lambda: backend.remove("a"))


class Failing:
    """Asks what must fail with ``BackendError``, and holds the error to what it may say."""

    def __init__(self, says: str, *secrets: str) -> None:
        self.says = says
        self.secrets = secrets

    async def __call__(self, what: str, asked: Callable[[], Awaitable[object]]) -> None:
        with fail_after(60):
            try:
                answer = await asked()
            except BackendError as error:
                assert self.says in str(error), what
                told = "".join(traceback.format_exception(error)) + repr(error) + repr(error.__context__)
                assert not [secret for secret in self.secrets if secret in told], what
            else:
                raise AssertionError(f"{what}: expected a BackendError, got {answer!r}")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("kind", ["s3", "az"])
async def test_a_bucket_that_is_missing_is_named(kind: str, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(kind)
    url = place.url.replace("bucket", "nowhere").replace("kept", "nowhere")

    async def ask(what: str, asked: Callable[[], Awaitable[object]]) -> None:
        await Failing("expected a bucket 'nowhere'", SECRET, azure.KEY)(what, asked)

    async with aclosing(open_backend(url)) as backend:
        await every_question(backend, ask)


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_wrong_credentials_are_an_error_that_does_not_repeat_them(
    dav: Place, az: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", SECRET)
    for url, says in (
        (f"{with_user(dav.server.url, 'geheim')}/store", "401 Unauthorized"),
        (az.url, "expected credentials that may do so, got: 403"),
    ):
        async with aclosing(open_backend(url)) as backend:
            assert not [secret for secret in ("geheim", SECRET) if secret in repr(backend) + backend.name]
            await every_question(backend, Failing(says, "geheim", SECRET))
    assert "geheim" not in caplog.text and SECRET not in caplog.text


MANNERS = [(kind, manner) for kind in ("s3", "az", "dav") for manner in ("failing", "silent", "cut")]


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize(("kind", "manner"), [*MANNERS, ("dav", "elsewhere"), ("dav", "nonsense")])
async def test_servers_that_misbehave_are_asked_for_a_bounded_time(kind: str, manner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind != "dav":
        pytest.importorskip("obstore", reason="needs obstore")
    monkeypatch.setenv("AZURE_STORAGE_SAS_KEY", "sv=2021-08-06&sig=geheim")
    with Misbehaving(manner) as server:
        url = {
            "s3": f"s3://bucket/a?endpoint={server.url}&region=us-east-1&",
            "az": f"az://kept/a?account=a&endpoint={server.url}&",
            "dav": f"{with_user(server.url, 'geheim')}/a?",
        }[kind]
        failing = Failing(url.partition("?")[0].rpartition("@")[2], SECRET, "geheim")
        async with aclosing(open_backend(f"{url}timeout=0.2&retries=1")) as backend:
            await failing("read", lambda: backend.read("a", lambda chunk: None))
            await failing("list", lambda: backend.list("a/"))
            if kind == "dav" or manner in ("failing", "silent"):
                await failing("write", lambda: backend.write("a", Body.of(b"x")))
                await failing("look", lambda: backend.look("a"))
        assert 0 < len(server.asked) <= 14
        assert not [line for line in server.asked if line.endswith("/elsewhere")]  # a password goes where it was meant for


async def test_nobody_there_is_an_error_and_so_is_a_backend_that_is_closed(dav: Place) -> None:
    async with aclosing(open_backend("http://127.0.0.1:1/a?retries=0")) as backend:
        await every_question(backend, Failing("http://127.0.0.1:1/a"))
    await every_question(backend, Failing("it is closed"))


async def test_without_obstore_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tailor\[cloud\]'"):
        open_backend("s3://bucket")


async def test_settings_that_obstore_refuses_are_a_store_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore", reason="needs obstore")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match="Missing SecretAccessKey"):
        open_backend("s3://bucket")
    with pytest.raises(StoreError, match="Account must be specified"):
        open_backend("az://container")
