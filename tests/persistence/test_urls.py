"""What paths and URLs of stores name, and which are refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tailor.persistence import DirectoryBackend, MemoryBackend, SQLiteBackend, StoreError, open_backend
from tailor.persistence.backends.urls import Setting


@pytest.fixture(autouse=True)
def somewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AZURE_STORAGE_ACCOUNT_KEY": "Yg=="}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.mark.parametrize(
    ("place", "kind", "name"),
    [
        ("memory:", MemoryBackend, "memory:"),
        ("models", DirectoryBackend, "models"),
        (Path("s3:"), DirectoryBackend, "s3:"),
        ("./s3:b", DirectoryBackend, "./s3:b"),
        ("file:///var/models%20of%20all", DirectoryBackend, "/var/models of all"),
        ("models.sqlite", SQLiteBackend, "models.sqlite"),
        ("models.DB", SQLiteBackend, "models.DB"),
        ("sqlite:///var/models", SQLiteBackend, "/var/models"),
        ("folder.db", DirectoryBackend, "folder.db"),
        ("is one", SQLiteBackend, "is one"),
    ],
)
def test_paths(place: str | Path, kind: type, name: str) -> None:
    Path("folder.db").mkdir()
    with sqlite3.connect("is one") as database:
        database.execute("create table a (b)")
    database.close()
    backend = open_backend(place)
    assert (type(backend), backend.name) == (kind, name)


@pytest.mark.parametrize(
    ("place", "name", "conditional"),
    [
        ("s3://bucket", "s3://bucket", True),
        ("S3://bucket/a/b/?region=eu-west-1", "s3://bucket/a/b", True),
        ("s3://bucket/a?conditional=false&endpoint=http://127.0.0.1:1&timeout=5", "s3://bucket/a", False),
        ("gs://bucket/a%20b", "gs://bucket/a b", True),
        ("az://container/a?account=somebody", "az://container/a", True),
    ],
)
def test_object_stores(place: str, name: str, conditional: bool) -> None:
    pytest.importorskip("obstore", reason="needs obstore")
    backend = open_backend(place)
    assert (backend.name, backend.conditional) == (name, conditional)
    assert name in repr(backend)


@pytest.mark.parametrize("place", ["https://me:pass%20word@host:444/a%20b/", "webdav+https://host:444/a b?timeout=1&retries=0"])
def test_webdav(place: str) -> None:
    backend = open_backend(place)
    assert (backend.name, backend.conditional) == ("https://host:444/a%20b", False)
    assert "word" not in repr(backend)


@pytest.mark.parametrize(
    ("place", "settings", "says"),
    [
        ("ftp://me:geheim@host/a", {}, "got ftp:"),
        ("memory:a", {}, "nothing behind"),
        ("memory:", {"timeout": 1}, "expected none, got 'timeout'"),
        ("models", {"region": "a"}, "expected none, got 'region'"),
        ("file://models/a", {}, "three slashes"),
        ("sqlite:///", {}, "three slashes"),
        ("s3://", {}, "s3://bucket/prefix"),
        ("s3://me:geheim@bucket/a", {}, "credentials come from the environment"),
        ("s3://bucket/a?secret_access_key=geheim", {}, "'secret_access_key'"),
        ("s3://bucket/../a", {}, "prefix"),
        ("s3://bucket/a//b", {}, "prefix"),
        ("s3://bucket/a#b", {}, "without '#'"),
        ("s3://bucket", {"endpoint": "http://me:geheim@host"}, "endpoint"),
        ("s3://bucket", {"endpoint": "host"}, "endpoint"),
        ("s3://bucket?conditional=maybe", {}, "true or false"),
        ("s3://bucket?timeout=soon", {}, "timeout"),
        ("s3://bucket", {"timeout": float("nan")}, "timeout"),
        ("s3://bucket", {"retries": -1}, "retries"),
        ("gs://bucket?region=a", {}, "'region'"),
        ("https://host/a?endpoint=http://b", {}, "'endpoint'"),
        ("https:///a", {}, "WebDAV: expected"),
        ("https://me:geheim@host:99999/a", {}, "port"),
    ],
)
def test_what_cannot_be_is_refused_without_its_secrets(place: str, settings: dict[str, Setting], says: str) -> None:
    with pytest.raises(StoreError, match=says) as raised:
        open_backend(place, **settings)
    assert "geheim" not in str(raised.value)
