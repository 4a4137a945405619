"""The page's files as they are sent: which, with what headers, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailor.daemon.web import PageFiles
from tests.asgi import Message

pytestmark = pytest.mark.anyio
PAGE = Path(__file__).parents[3] / "tailor" / "daemon" / "web" / "page"
FILES = {f"/{'' if file.name == 'index.html' else file.name}": (file.suffix, file.read_bytes()) for file in sorted(PAGE.iterdir())}


async def answer(method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: Message = {"type": "http", "method": method, "path": path, "root_path": "", "query_string": b"", "headers": given}
    await PageFiles()(scope, receive, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(message.get("body", b"") for message in sent[1:])


async def test_every_file_is_sent_as_it_is_on_disk() -> None:
    types = {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
    assert PageFiles().paths == sorted(FILES)
    for path, (suffix, content) in FILES.items():
        status, headers, body = await answer("GET", path)
        assert (status, headers["content-type"], body) == (200, types[suffix], content), path
        assert headers["content-length"] == str(len(body))


@pytest.mark.parametrize("path", ["/", "/style.css", "/nothing"])
async def test_every_answer_has_the_policy(path: str) -> None:
    _, headers, _ = await answer("GET", path)
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src", "img-src")} == {"'self'"}
    assert {policy[name] for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert policy["require-trusted-types-for"] == "'script'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-cache"
    assert headers["referrer-policy"] == "no-referrer"


async def test_head_says_what_get_would_without_it() -> None:
    got, head = await answer("GET", "/main.js"), await answer("HEAD", "/main.js")
    assert (head[0], head[1], head[2]) == (got[0], got[1], b"")


async def test_what_a_browser_has_is_not_sent_again() -> None:
    _, headers, _ = await answer("GET", "/style.css")
    tag = headers["etag"]
    assert (await answer("GET", "/main.js"))[1]["etag"] != tag
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        status, again, body = await answer("GET", "/style.css", if_none_match=known)
        assert (status, body, again["etag"]) == (304, b"", tag), known
    assert (await answer("GET", "/style.css", if_none_match='"other"'))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../files.py",
        "//etc/passwd",
        "/page/main.js",
        "/main.js/",
        "/index.html/..",
        "/%2e%2e/files.py",
        "/files.py",
        "/.",
        "",
        "/\0",
        "/MAIN.JS",
    ],
)
async def test_no_other_path_is_answered(path: str) -> None:
    status, headers, body = await answer("GET", path)
    assert (status, headers["content-type"]) == (404, "application/json")
    assert b'"kind":"NotFound"' in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
async def test_only_looking_is_allowed(method: str) -> None:
    status, headers, _ = await answer(method, "/")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_the_page_asks_nobody_else_and_has_no_script_inside() -> None:
    for path, (_, content) in FILES.items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path
        assert "https://" not in text, path
        assert len(text.splitlines()) < 300, path
    page = FILES["/"][1].decode()
    assert page.count("<script") == page.count('<script type="module" src="main.js"></script>') == 1
    assert "style=" not in page
    assert " on" not in page.replace(" one", "")
