"""Bodies, queries and names that come in, answers that go out, and what is told of an error."""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import json
import logging
import re
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

import tailor
from tailor.client import Predictions
from tailor.client.batches import MOST_BYTES
from tailor.daemon.api import ROUTES, Application, Service
from tailor.daemon.api.openapi import document
from tailor.daemon.configuration import Problem, Settings, SettingsError
from tailor.daemon.configuration.settings import Http, Limits
from tailor.daemon.daemon import Daemon
from tailor.daemon.ledger import LedgerConflict, LedgerError, LedgerFull
from tests.tasks.softmax_regression import LABELS, Reference, classifier

from .asked import EXAMPLES, MODEL, ask, opened, served, settings

pytestmark = pytest.mark.anyio

USER = "/v1/models/points/users/ann"
MSGPACK, BYTES, FORM = ({"content-type": f"application/{name}"} for name in ("msgpack", "octet-stream", "x-www-form-urlencoded"))
DEPTH = 100_000
REFUSED: list[tuple[str, str, Any, dict[str, str], int, str | None]] = [
    ("POST", f"{USER}/examples", b"", {}, 400, None),
    ("POST", f"{USER}/examples", b"{", {}, 400, None),
    ("POST", f"{USER}/examples", b"\xff", {}, 400, None),
    ("POST", f"{USER}/examples", b'{"examples": [{"features": {"x": NaN}}]}', {}, 400, None),
    ("POST", f"{USER}/examples", b"[" * DEPTH, {}, 400, None),
    ("POST", f"{USER}/examples", b'{"examples": [{"features": ' + b'{"x": ' * DEPTH, {}, 400, None),
    ("POST", f"{USER}/examples", b'{"examples": [{"features": {"x": ' + b"[" * 900 + b"]" * 900 + b"}}]}", {}, 422, None),
    ("POST", f"{USER}/examples", {"examples": [{"features": {"x": [1, 2], "classLabel": 2**70}}]}, {}, 422, None),
    ("POST", f"{USER}/predictions", b'{"inputs": [{"x": ' + b'{"a": ' * 900 + b"1" + b"}" * 900 + b"}]}", {}, 422, None),
    ("POST", f"{USER}/examples", b"\x91" * DEPTH + b"\x90", MSGPACK, 400, None),
    ("POST", f"{USER}/examples", b"\xdf\xff\xff\xff\xff", MSGPACK, 400, None),
    ("POST", f"{USER}/examples", {"examples": []}, {}, 400, "examples"),
    ("POST", f"{USER}/examples", {"examples": [{"features": {}}, {"features": []}]}, {}, 400, "examples[1].features"),
    ("POST", f"{USER}/examples", {"examples": [{"features": {}, "time": "2026-01-01T00:00:00"}]}, {}, 400, "examples[0].time"),
    ("POST", f"{USER}/examples", {"examples": EXAMPLES, "more": 1}, {}, 400, None),
    ("POST", f"{USER}/examples", {"examples": [{"features": {"x": [1, 2]}}]}, {}, 422, None),
    ("POST", f"{USER}/examples", {"examples": EXAMPLES}, FORM, 415, None),
    ("POST", f"{USER}/examples", {"examples": EXAMPLES}, BYTES, 415, None),
    ("POST", f"{USER}/examples", {"examples": EXAMPLES}, {"content-type": ""}, 415, None),
    ("POST", "/v1/models/other/users/ann/examples", {"examples": EXAMPLES}, {}, 404, None),
    ("POST", "/v1/models/.other/users/ann/examples", {"examples": EXAMPLES}, {}, 400, "model"),
    ("PUT", "/v1/models/points/users/a b", None, {}, 400, "user"),
    ("PUT", f"/v1/models/points/users/{'a' * 61}", None, {}, 400, "user"),  # the store has names of at most 60
    ("POST", f"{USER}/forget", {"labels": [2**63]}, {}, 422, None),
    ("PUT", "/v1/models/points/users/%2e%2e", None, {}, 400, "user"),
    ("PUT", "/v1/models/points/users/..%2f..", None, {}, 404, None),
    ("PUT", "/v1/models/new", b"no model", BYTES, 422, None),
    ("PUT", "/v1/models/points", b"no model", BYTES, 409, None),
    ("PUT", "/v1/models/points?replace=true", b"no model", BYTES, 422, None),
    ("PUT", "/v1/models/points?replace=maybe", MODEL, BYTES, 400, "replace"),
    ("DELETE", "/v1/models/other", None, {}, 404, None),
    ("GET", "/v1/updates/1", None, {}, 400, "update"),
    ("GET", f"/v1/updates/{'0' * 32}", None, {}, 404, None),
    ("GET", "/v1/updates?state=gone", None, {}, 400, "state[0]"),
    ("GET", "/v1/log?most=0", None, {}, 400, "most"),
    ("GET", "/v1/log?most=1&most=2", None, {}, 400, "most"),
    ("GET", "/v1/log?unknown=1", None, {}, 400, None),
    ("GET", "/v1/events?after=-1", None, {}, 400, "after"),
    ("GET", "/v1/events", None, {"last-event-id": "x"}, 400, "Last-Event-ID"),
    ("GET", "/v1/nothing", None, {}, 404, None),
    ("POST", "/v1/status", None, {}, 405, None),
]  # fmt: skip


async def test_what_is_not_right_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as app:
        await ask(app, "PUT", USER)
        before = (await ask(app, "GET", "/v1/log")).body
        for method, path, given, headers, status, field in REFUSED:
            answer = await ask(app, method, path, given, headers=headers)
            assert (answer.status, answer.error["field"]) == (status, field), (
                method,
                path,
                given if len(str(given)) < 200 else "",
                answer.body,
            )
            assert len(answer.error["message"]) > 10
        assert (await ask(app, "GET", "/v1/log")).body == before
        assert (await ask(app, "GET", USER)).json["waiting"] == 0


async def test_a_body_too_large_is_not_read(tmp_path: Path) -> None:
    part = b" " * 1000
    async with served(tmp_path, settings(http={"body_bytes": 5000}, limits={"model_bytes": 6000})) as app:
        for path, headers, bound in ((f"{USER}/examples", {}, 5000), ("/v1/models/new", BYTES, 6000)):
            method = "PUT" if headers else "POST"
            said = await ask(app, method, path, parts=[part] * 100, headers={**headers, "content-length": str(bound + 1)})
            came = await ask(app, method, path, parts=[part] * 100, headers={**headers, "transfer-encoding": "chunked"})
            assert (said.status, said.taken, said.headers["connection"]) == (413, 0, "close")
            assert (came.status, came.taken, came.headers["connection"]) == (413, bound + 1000, "close")


def test_how_large_a_body_may_be_is_told_and_is_enough_for_the_client() -> None:
    told = document("1")["paths"]["/v1/models/{model}"]["put"]["requestBody"]["description"]
    assert [int(number) for number in re.findall(r"\d{4,}", told)] == [Http().body_bytes, Limits().model_bytes]
    assert MOST_BYTES < Http().body_bytes <= 16 << 20


async def test_a_body_that_nobody_wants_ends_the_connection(tmp_path: Path) -> None:
    async with served(tmp_path) as app:
        unwanted = await ask(app, "GET", "/v1/models", parts=[b"x"] * 100, headers={"transfer-encoding": "chunked"})
        assert (unwanted.status, unwanted.taken, unwanted.headers["connection"]) == (200, 0, "close")
        for path, status in (("/v1/models", 200), ("/v1/models/%00", 400), ("/v1/nothing", 404)):
            for size, taken in ((1 << 16, 1 << 16), ((1 << 16) + 1, 0)):  # a small one is read, so that the answer arrives
                parts, sizes = [b"x" * size], {"content-length": str(size)}
                answer = await ask(app, "GET", path, parts=parts, headers=sizes)
                assert (answer.status, answer.taken, "connection" in answer.headers) == (status, taken, taken == 0)
        assert "connection" not in (await ask(app, "POST", f"{USER}/examples", {"examples": EXAMPLES})).headers


async def test_json_and_msgpack_say_the_same(tmp_path: Path) -> None:
    async with served(tmp_path) as app:
        await ask(app, "POST", f"{USER}/examples", {"examples": EXAMPLES, "batch": "b"})
        given = {"examples": EXAMPLES, "batch": "b"}
        for name in ("msgpack", "x-msgpack", "vnd.msgpack"):
            again = await ask(
                app, "POST", f"{USER}/examples", msgspec.msgpack.encode(given), headers={"content-type": f"application/{name}"}
            )
            assert again.json == {"accepted": 0, "duplicates": 2, "waiting": 2}
        for accept, media in {
            "application/msgpack": "msgpack",
            "application/json, application/msgpack": "json",
            "*/*": "json",
            "x": "json",
        }.items():
            answer = await ask(app, "GET", USER, headers={"accept": accept})
            read = msgspec.msgpack.decode if media == "msgpack" else json.loads
            assert (answer.headers["content-type"], read(answer.body)["waiting"]) == (f"application/{media}", 2)
        missing = await ask(app, "GET", "/v1/models/other", headers={"accept": "application/msgpack"})
        assert msgspec.msgpack.decode(missing.body)["error"]["kind"] == "MLNotFoundError"


async def test_answers_are_not_to_be_kept_or_guessed_at(tmp_path: Path) -> None:
    async with served(tmp_path) as app:
        for path in ("/v1/models", "/v1/models/other", "/metrics"):
            headers = (await ask(app, "GET", path)).headers
            assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


async def test_a_model_comes_as_bytes_or_base64_and_is_replaced_only_when_asked(tmp_path: Path) -> None:
    other = classifier(rate=0.25).to_bytes()
    in_json = {"data": base64.b64encode(other).decode()}
    async with served(tmp_path) as app:
        first = (await ask(app, "PUT", "/v1/models/one", MODEL, headers=BYTES)).json
        assert (await ask(app, "PUT", "/v1/models/one", MODEL, headers=BYTES)).json == first
        assert (await ask(app, "PUT", "/v1/models/one", other, headers=BYTES)).status == 409
        assert (await ask(app, "GET", "/v1/models/one")).json == first
        second = (await ask(app, "PUT", "/v1/models/one?replace=true", other, headers=BYTES)).json
        assert second["base"] == hashlib.sha256(other).hexdigest() != first["base"]
        assert (await ask(app, "PUT", "/v1/models/two", in_json)).json["base"] == second["base"]
        assert (await ask(app, "PUT", "/v1/models/points", in_json)).status == 409
        assert (await ask(app, "PUT", "/v1/models/points", {**in_json, "replace": True})).json["base"] == second["base"]
        assert (await ask(app, "DELETE", "/v1/models/one")).status == 204
        assert (await ask(app, "GET", "/v1/models/one")).status == 404


async def test_predictions_are_the_models(tmp_path: Path) -> None:
    x = np.array([[0.5, -1.0], [2.0, 1.0]], np.float32)
    expected = Reference().probabilities(x)
    async with served(tmp_path) as app:
        await ask(app, "PUT", USER)
        for path in ("/v1/models/points", USER):
            told = (await ask(app, "POST", f"{path}/predictions", {"inputs": [{"x": row.tolist()} for row in x]})).json
            assert told["version"] is None
            np.testing.assert_allclose([[output["p"][label] for label in LABELS] for output in told["outputs"]], expected, rtol=1e-5)


async def test_values_are_written_as_each_format_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.new("RGB", (3, 2), (10, 20, 30))
    output = {
        "a": np.array([[1, np.nan]], np.float32),
        "n": np.float32(0.5),
        "i": np.int64(3),
        "d": {1: 2.0, 5: float("inf")},
        "s": "é",
        "p": picture,
    }

    async def predict(self: Daemon, *_: object) -> Predictions:
        return Predictions(outputs=[output], version="v")

    monkeypatch.setattr(Daemon, "predict", predict)
    async with served(tmp_path) as app:
        path, asked = "/v1/models/points/predictions", {"inputs": [{}]}
        told = (await ask(app, "POST", path, asked)).json["outputs"][0]
        packed = msgspec.msgpack.decode((await ask(app, "POST", path, asked, headers={"accept": "application/msgpack"})).body)["outputs"][0]
    pictures = [base64.b64decode(told.pop("p")), packed.pop("p")]
    assert told == {"a": [[1.0, None]], "n": 0.5, "i": 3, "d": {"1": 2.0, "5": None}, "s": "é"}
    array = packed.pop("a")
    assert array == {"shape": [1, 2], "dtype": "float32", "data": b"\x00\x00\x80\x3f\x00\x00\xc0\x7f"}
    assert packed == {"n": 0.5, "i": 3, "d": {1: 2.0, 5: float("inf")}, "s": "é"}
    for data in pictures:
        with Image.open(io.BytesIO(data)) as read:
            assert (read.format, read.size, read.convert("RGB").getpixel((2, 1))) == ("PNG", (3, 2), (10, 20, 30))


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def full() -> sqlite3.OperationalError:
    with sqlite3.connect(":memory:") as database:
        database.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as raised:
            database.execute("CREATE TABLE t AS SELECT zeroblob(100000)")
    database.close()
    return raised.value


E = tailor
TOLD = {
    "not found": (E.MLNotFoundError("no model 'm'"), 404, "MLNotFoundError"),
    "conflict": (E.MLConflictError("there is one"), 409, "MLConflictError"),
    "state": (E.MLTaskStateError("it has ended"), 409, "MLTaskStateError"),
    "store's conflict": (E.MLStoreConflictError("somebody was faster"), 409, "MLStoreConflictError"),
    "feature": (E.MLFeatureError("x is missing").of_example(3), 422, "MLFeatureError"),
    "parameter": (E.MLParameterError("epochs: expected 1"), 422, "MLParameterError"),
    "update": (E.MLUpdateError("it has no loss"), 422, "MLUpdateError"),
    "format": (E.MLFormatError("no model"), 422, "MLFormatError"),
    "unsupported": (E.MLUnsupportedError("a layer"), 422, "MLUnsupportedError"),
    "limit": (E.MLLimitError("so many"), 429, "MLLimitError"),
    "busy": (E.MLBusyError("so many wait"), 503, "MLBusyError"),
    "store": (E.MLStoreError("it is not there"), 500, "MLStoreError"),
    "disk": (OSError(errno.ENOSPC, "No space left on device"), 507, "InsufficientStorage"),
    "quota": (caused(E.MLStoreError("it cannot be written"), OSError(errno.EDQUOT, "Quota")), 507, "InsufficientStorage"),
    "SQLite's disk": (full(), 507, "InsufficientStorage"),
    "the ledger's disk": (LedgerError("it cannot be written", "disk full"), 507, "InsufficientStorage"),
    "the ledger's limit": (LedgerFull("users", 1, 2), 429, "MLLimitError"),
    "the ledger's conflict": (LedgerConflict(2, "a"), 409, "MLConflictError"),
    "the ledger": (LedgerError("it is no ledger", "foreign"), 500, "MLModelError"),
    "a mistake of ours": (KeyError("secret"), 500, "InternalServerError"),
    "recursion": (RecursionError("secret"), 500, "InternalServerError"),
}  # fmt: skip


async def test_an_error_is_told_and_what_is_ours_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(tmp_path) as app:
        for kind, (error, status, name) in TOLD.items():

            async def fail(self: Daemon, *_: object, error: Exception = error) -> None:
                raise error

            monkeypatch.setattr(Daemon, "model", fail)
            caplog.clear()
            answer = await ask(app, "GET", "/v1/models/points")
            assert (answer.status, answer.error["kind"]) == (status, name), kind
            logged = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
            assert ["GET /v1/models/points" in line for line in logged] == [True] * (status in (500, 507)), kind
            assert (answer.error["message"] == str(error)) == name.startswith("ML"), kind
            assert not re.search("secret|Traceback", answer.body.decode())
            assert ("retry-after" in answer.headers) == (status == 503)


def test_each_row_is_there_once_and_says_what_it_does() -> None:
    assert len({(row.method, row.path) for row in ROUTES}) == len({row.name for row in ROUTES}) == len(ROUTES)
    for row in ROUTES:
        assert re.fullmatch(r"[A-Z].*\.", row.does), row.name
        assert (row.status == 204) == (row.answer is None)


async def test_every_path_says_which_methods_it_has(tmp_path: Path) -> None:
    async with served(tmp_path) as app:
        for path in {row.path for row in ROUTES}:
            methods = {row.method for row in ROUTES if row.path == path}
            answer = await ask(app, "TRACE", path.format(model="points", user="ann", update="0" * 32))
            assert (answer.status, set(answer.headers["allow"].split(", "))) == (405, methods | ({"HEAD"} if "GET" in methods else set()))


async def test_settings_are_read_again_when_asked(tmp_path: Path) -> None:
    async with opened(tmp_path) as daemon:

        async def read() -> Settings:
            await daemon.reload(less)
            return less

        app, less = Application(Service(daemon, read=read)), settings(http={"body_bytes": 10})
        assert (await ask(app, "POST", f"{USER}/examples", {"examples": EXAMPLES})).status == 200
        assert (await ask(app, "POST", "/v1/reload")).json["waiting"] == 2
        assert (await ask(app, "POST", f"{USER}/examples", {"examples": EXAMPLES})).status == 413

        async def refused() -> Settings:
            raise SettingsError("tailor.toml", [Problem(1, "zz", "a known name", "another")])

        answer = await ask(Application(Service(daemon, read=refused)), "POST", "/v1/reload")
        assert (answer.status, answer.error["message"]) == (422, "tailor.toml: line 1: zz: expected a known name, got another")


def test_the_documentation_has_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "daemon.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (GET|POST|PUT|DELETE) \| `(\S+)` \| (.*) \|$", page, re.MULTILINE)
    assert told == [(row.method, row.path, row.does) for row in ROUTES]
