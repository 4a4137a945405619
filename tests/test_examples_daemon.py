"""The examples of daemons, as users run them: real processes, which talk over sockets. Their own checks are what is asserted."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from tailor.client import Client
from tests.asgi import Application, answer, request

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs Unix sockets, which anyio does not have on Windows")

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
PROGRAMS = {"kiosk": 7, "move_to_another_machine": 6, "two_daemons": 4}
POINTS = [{"x": [0.0, 0.1], "classLabel": "in"}, {"x": [1.0, 1.0], "classLabel": "out"}, {"x": [-1.0, 0.9], "classLabel": "out"}]


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Iterator[None]:
    """The examples as modules of this process, and tailor for the processes that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
        yield


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_example_passes_its_own_checks(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    told, _, checks = capsys.readouterr().out.partition("Checks\n")
    assert [line.split()[0] for line in checks.splitlines()] == ["yes"] * PROGRAMS[name], told + checks
    assert ended.value.code == 0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """``daemon_service.py`` as a module, and a daemon for it, which all tests share."""
    module: Any = SimpleNamespace(**runpy.run_path(str(EXAMPLES / "daemon_service.py"), run_name="daemon_service"))
    folder = tmp_path_factory.mktemp("daemon")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(module.daemon_in(folder, module.SETTINGS)) as running:
        portal.call(running.client.register, module.circle().to_bytes(), "circle")
        module.socket = folder / "daemon.sock"
        yield module


@pytest.mark.anyio
async def test_a_service_personalises_through_the_daemon(service: SimpleNamespace, anyio_backend: str) -> None:
    user, point = f"/people/{anyio_backend}", {"inputs": {"x": [0.0, 0.1]}}
    async with Client(service.socket) as client:
        app: Application = service.application(client, "circle")
        assert (await answer(app, "GET", user))[0] == 404
        status, before = await answer(app, "POST", f"{user}/predictions", point)
        assert (status, before["version"], set(before["p"])) == (200, None, {"in", "out"})
        async with request(app, "GET", f"{user}/events") as events:
            for first in (True, False):  # sent again, as by somebody who heard no answer
                status, added = await answer(app, "POST", f"{user}/examples", {"examples": POINTS, "batch": "monday"})
                assert (status, added["accepted"], added["duplicates"]) == ((202, 3, 0) if first else (202, 0, 3))
            with anyio.fail_after(60):
                async for told in events.chunks:
                    if b"event: update_ended" in told:
                        break
        told = (await answer(app, "GET", user))[1]
        assert (told["learned"], told["waiting"]) == (3, 0)
        status, after = await answer(app, "POST", f"{user}/predictions", point)
        assert (after["version"], after["classLabel"]) == (told["version"], "in") and after["p"]["in"] > before["p"]["in"]
        status, forgotten = await answer(app, "DELETE", f"{user}/examples/monday-0")
        assert (status, forgotten["examples"]) == (200, 1)


REFUSED = [
    ("POST", "/people/bob/examples", {"examples": [{"x": [0], "classLabel": "in"}]}, 422, "example 0: training input 'x'"),
    ("POST", "/people/bob/examples", {"examples": 3}, 400, "expected a list of objects"),
    ("POST", "/people/bob/predictions", {"inputs": {"y": 1}}, 422, "'y'"),
    ("POST", "/people/bob/undo", None, 404, "bob"),
    ("DELETE", "/people/bob/examples/x", None, 404, "bob"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "path", "given", "status", "message"), REFUSED, ids=[f"{row[1]}-{row[3]}" for row in REFUSED])
async def test_what_the_daemon_refuses_the_service_does(
    service: SimpleNamespace, method: str, path: str, given: Any, status: int, message: str
) -> None:
    async with Client(service.socket) as client:
        told = await answer(service.application(client, "circle"), method, path, given)
        assert told[0] == status and message in told[1]["error"], told


@pytest.mark.anyio
async def test_without_a_daemon_the_service_is_unavailable(service: SimpleNamespace, tmp_path: Path) -> None:
    async with Client(tmp_path / "nobody.sock") as client:
        told = await answer(service.application(client, "circle"), "GET", "/people/bob")
        assert told[0] == 503, told
