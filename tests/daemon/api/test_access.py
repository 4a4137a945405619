"""Who may ask what: tokens, their files, hosts and origins."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from tailor import MLModelError
from tailor.daemon.api import open_tokens

from .asked import PORT, TCP, TOKENS, UNIX, ask, served

pytestmark = pytest.mark.anyio

FULL, READ = {"authorization": f"Bearer {TOKENS.full}"}, {"authorization": f"bearer {TOKENS.read}"}
NOBODY: dict[str, str] = {}
STATUS, USER = "/v1/status", "/v1/models/points/users/ann"
ACCESS = [
    ("GET", STATUS, NOBODY, 401),
    ("GET", STATUS, {"authorization": "Bearer "}, 401),
    ("GET", STATUS, {"authorization": f"Bearer {TOKENS.full[:-1]}"}, 401),
    ("GET", STATUS, {"authorization": "Bearer \xff"}, 401),
    ("GET", STATUS, {"authorization": f"Basic {TOKENS.full}"}, 401),
    ("GET", STATUS, {"authorization": TOKENS.full}, 401),
    ("GET", f"{STATUS}?token={TOKENS.full}", NOBODY, 401),
    ("GET", STATUS, READ, 200),
    ("HEAD", STATUS, READ, 200),
    ("GET", STATUS, FULL, 200),
    ("PUT", USER, READ, 403),
    ("PATCH", USER, READ, 403),
    ("PATCH", USER, NOBODY, 401),
    ("PUT", USER, FULL, 200),
    ("GET", "/metrics", NOBODY, 401),
    ("GET", "/v1/events", NOBODY, 401),
    ("GET", "/v1/openapi.json", NOBODY, 401),
    ("GET", "/v1/health", NOBODY, 200),
    ("GET", "/", NOBODY, 200),
]
ORIGINS = [
    ({"host": PORT}, 200),
    ({"host": f"LOCALHOST:{TCP[1]}"}, 200),
    ({"host": f"[::1]:{TCP[1]}"}, 200),
    ({"host": "127.0.0.1"}, 403),
    ({"host": "127.0.0.1:1"}, 403),
    ({"host": f"evil.example:{TCP[1]}"}, 403),
    ({"host": f"127.0.0.1.evil.example:{TCP[1]}"}, 403),
    ({"host": ""}, 403),
    ({"host": PORT, "origin": f"http://{PORT}"}, 200),
    ({"host": PORT, "origin": f"https://{PORT}"}, 403),
    ({"host": PORT, "origin": f"http://localhost:{TCP[1]}"}, 403),
    ({"host": PORT, "origin": "http://evil.example"}, 403),
    ({"host": PORT, "origin": "null"}, 403),
]


async def test_by_tcp_a_token_says_what_may_be_asked(tmp_path: Path) -> None:
    async with served(tmp_path) as app:
        for method, path, headers, expected in ACCESS:
            answer = await ask(app, method, path, headers={"host": PORT, **headers}, server=TCP)
            assert answer.status == expected, (method, path, headers)
            if expected == 401:
                assert answer.headers["www-authenticate"] == "Bearer"
        granted = await ask(app, "GET", STATUS, headers={"host": PORT, **READ}, server=TCP)
        assert granted.headers["tailor-access"] == "read"


async def test_only_the_daemons_own_page_may_ask(tmp_path: Path) -> None:
    async with served(tmp_path) as app:
        for headers, expected in ORIGINS:
            for path in (STATUS, "/"):
                answer = await ask(app, "GET", path, headers={**FULL, **headers}, server=TCP)
                assert answer.status == expected, headers
                assert not any(name.startswith("access-control") for name in answer.headers)


async def test_the_unix_socket_asks_for_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as app:
        assert (await ask(app, "PUT", USER, headers={"host": "anything"}, server=UNIX)).status == 200


async def test_without_tokens_nobody_may_ask_by_tcp_nor_by_what_is_not_known(tmp_path: Path) -> None:
    async with served(tmp_path, tokens=None) as app:
        assert (await ask(app, "GET", STATUS, headers={"host": PORT, **FULL}, server=TCP)).status == 401
        assert (await ask(app, "GET", STATUS, server=None)).status == 403


def test_tokens_are_made_once_for_their_owner(tmp_path: Path) -> None:
    made = open_tokens(tmp_path)
    assert open_tokens(tmp_path) == made
    assert made.full != made.read
    for name, token in (("token", made.full), ("token-read", made.read)):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert (tmp_path / name).read_text() == token + "\n"
        assert re.fullmatch(r"[\w-]{32,}", token)
        assert token not in repr(made)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["token", "token-read"]


SPOILED = {
    "others can read it": (lambda path: path.chmod(0o644), "0600.*got 0644"),
    "it is empty": (lambda path: path.write_bytes(b""), "32 characters or more, got 0"),
    "it is no text": (lambda path: path.write_bytes(b"\xff" * 40), "token"),
    "it is a link": (lambda path: path.symlink_to(path.rename(path.with_name("kept"))), "file with a token"),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_a_token_that_is_none_is_refused(spoiled: str, tmp_path: Path) -> None:
    open_tokens(tmp_path)
    spoil, told = SPOILED[spoiled]
    spoil(tmp_path / "token")
    with pytest.raises(MLModelError, match=told):
        open_tokens(tmp_path)


async def test_the_order_of_checks_gives_nothing_away(tmp_path: Path) -> None:
    """Who has no token does not learn which models there are."""
    async with served(tmp_path) as app:
        answers = [await ask(app, "GET", f"/v1/models/{name}", headers={"host": PORT}, server=TCP) for name in ("points", "none", "../x")]
        assert [answer.status for answer in answers] == [401, 401, 404]
        assert answers[0].body == answers[1].body
