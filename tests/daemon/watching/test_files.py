"""Which files are looked at, and what of them is not to be read."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tailor.daemon.watching.files import DEEPEST, Found, identity, listed, looked_at, read_bytes

MOST = 1000
DATA = {"rows.csv", "a/b/rows.jsonl", "x.ndjson", "data.npz"}
UNKNOWN = {"README.txt", "noname"}
LOOKED_AT = {"a.png", "cat/b.JPG", "letter ü.png", "new\nline.png"} | DATA | UNKNOWN
PASSED_BY = {".hidden.png", ".cat/a.png", "a/.b/c.png", "~lock.png", "a.png~", "#a#", "a.png.part", "rows.csv.TMP", "b.crdownload"}


def everything(folder: Path) -> dict[str, Found]:
    return {found.name: found for found in listed(folder, MOST)}


def test_hidden_and_temporary_files_are_passed_by(tmp_path: Path) -> None:
    for name in LOOKED_AT | PASSED_BY:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = everything(tmp_path)
    assert set(found) == LOOKED_AT
    assert {name for name in LOOKED_AT | PASSED_BY if looked_at(tmp_path, name, MOST) is not None} == LOOKED_AT
    assert {name for name, one in found.items() if one.trouble is not None} == UNKNOWN
    assert {name for name, one in found.items() if one.is_data} == DATA


def test_what_is_no_file_of_the_folder_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, secret = tmp_path / "drop", tmp_path / "secret.png"
    (folder / "sub").mkdir(parents=True)
    secret.write_bytes(b"secret")
    (folder / "good.png").write_bytes(b"good")
    (folder / "large.png").write_bytes(b"x" * (MOST + 1))
    (folder / "large.csv").write_bytes(b"x" * (MOST + 1))
    links = {"in": "good.png", "out": secret, "up": "../secret.png", "dangling": "no.png", "loop": "loop.png"}
    for name, target in links.items():
        (folder / f"{name}.png").symlink_to(target)
    (folder / "sub" / "tree").symlink_to(tmp_path, target_is_directory=True)
    (folder / "back").symlink_to(folder / "sub", target_is_directory=True)
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(folder)  # a socket's path has little room
        server.bind("socket.png")
        told = {name: one.trouble for name, one in everything(folder).items()}
    assert {name: trouble and trouble.split(":")[0] for name, trouble in told.items()} == {
        "good.png": None, "in.png": None, "large.csv": None,
        "large.png": "1001 bytes",
        "out.png": "a link that leads out of the folder", "up.png": "a link that leads out of the folder",
        "sub/tree": "a link that leads out of the folder",
        "pipe.png": "a pipe, socket or device", "socket.png": "a pipe, socket or device",
    }  # fmt: skip
    assert looked_at(folder, "sub/tree/secret.png", MOST) is None
    link = tmp_path / "link"
    link.symlink_to(folder, target_is_directory=True)
    assert "good.png" in everything(link)  # the folder itself may be one
    for name in ("pipe.png", "large.png", "sub"):
        with pytest.raises(OSError):
            read_bytes(folder / name, MOST)
    assert read_bytes(folder / "in.png", MOST) == b"good"


def test_folders_are_followed_down_so_far(tmp_path: Path) -> None:
    deep = tmp_path
    for level in range(DEEPEST + 2):
        (deep / f"{level}.png").write_bytes(b"x")
        deep = deep / "down"
        deep.mkdir()
    assert len(everything(tmp_path)) == DEEPEST + 1


def test_a_file_that_changes_has_another_stamp(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")
    os.utime(path, (1, 1))
    stamps = [looked_at(tmp_path, "a.png", MOST)]
    with path.open("r+b") as file:
        file.write(b"longer")
    os.utime(path, (1, 1))
    stamps.append(looked_at(tmp_path, "a.png", MOST))
    (tmp_path / "b.png").write_bytes(b"length")  # as long, and as old
    os.utime(tmp_path / "b.png", (1, 1))
    os.replace(tmp_path / "b.png", path)
    stamps.append(looked_at(tmp_path, "a.png", MOST))
    assert len({one.stamp for one in stamps if one is not None}) == 3


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for ask in (everything, identity):
        with pytest.raises(FileNotFoundError):
            ask(tmp_path / "none")
        with pytest.raises(NotADirectoryError):
            ask(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path)
    assert identity(tmp_path / "link") == identity(tmp_path)
