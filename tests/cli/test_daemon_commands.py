"""What the commands for a daemon print and send, to one that runs in a thread of this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor import MLModelStore, MLStoreError
from tailor.client import connection
from tests.cli.models import Terminal, drawings, neighbors, picture, picture_folder, regression
from tests.daemon.api.asked import settings
from tests.daemon.api.listening import running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models and examples, and nothing that a test may change."""
    made = tmp_path_factory.mktemp("models")
    neighbors(made / "points.mlmodel")
    regression(made / "r.mlmodel")
    drawings(made / "Drawing.mlmodel")
    picture_folder(made / "pictures")
    return made


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Path]:
    """Its folder. No update begins by itself; those of ``r`` wait for the end of hours that began two hours ago and have twenty left."""
    place, now = tmp_path_factory.mktemp("daemon"), datetime.now()
    quiet = [f"{now + timedelta(hours=hours):%H:%M}" for hours in (-2, 20)]
    held = {"r": {"path": str(folder / "r.mlmodel"), "updates": {"examples": 0, "conditions": {"quiet": quiet}}}}
    with running(place, settings(models=held)):
        yield place


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch, daemon: Path, folder: Path) -> None:
    monkeypatch.setattr(connection, "_PAUSES", ())
    monkeypatch.setenv("TAILOR_DAEMON", str(daemon / "daemon.sock"))
    monkeypatch.chdir(folder)


def told(tailor: Terminal, *arguments: object) -> Any:
    """What a command that succeeds prints as JSON."""
    assert tailor(*arguments, "--json") == 0, tailor.err
    return json.loads(tailor.out)


def predicted(tailor: Terminal, whose: str) -> list[str]:
    assert tailor("daemon", "predict", whose, "--data", "pictures", "--json") == 0, tailor.err
    return [json.loads(line)["label"] for line in tailor.out.splitlines()]


BRIGHT, DARK = ["bright"] * 3, ["dark"] * 3


async def unreadable(*args: Any, **more: Any) -> Any:
    """In place of what a store tells of heads."""
    raise MLStoreError("no head")


def test_from_a_model_to_predictions_of_its_user_and_back(tailor: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tailor("daemon", "register", "Drawing.mlmodel") == 0 and "Drawing: registered" in tailor.out
    assert tailor("daemon", "register", "Drawing.mlmodel") == 0, "the same again changes nothing"
    assert {"Drawing", "points", "r"} == {row["name"] for row in told(tailor, "daemon", "models")["models"]}
    assert predicted(tailor, "Drawing") == ["nobody"] * 6
    assert told(tailor, "daemon", "add", "Drawing", "ana", "--data", "pictures/bright/..") == {"accepted": 6, "duplicates": 0, "waiting": 6}
    assert told(tailor, "daemon", "add", "Drawing/ana", "--data", "pictures") == {"accepted": 0, "duplicates": 6, "waiting": 6}
    assert tailor("why", "Drawing/ana") == 0 and "Drawing/ana: 6 examples wait" in tailor.out
    [user] = told(tailor, "daemon", "users", "Drawing")["users"]
    assert (user["user"], user["waiting"], user["version"]) == ("ana", 6, None)
    done = told(tailor, "daemon", "update", "Drawing", "ana", "--wait")
    assert (done["state"], done["examples"], done["reason"]) == ("completed", 6, "command")
    assert predicted(tailor, "Drawing/ana") == BRIGHT + DARK and predicted(tailor, "Drawing") == ["nobody"] * 6
    assert tailor("daemon", "predict", "Drawing", "ana", "-i", "drawing=pictures/dark/0.png") == 0
    assert tailor.out.splitlines()[1].split() == ["label", "dark"] and f"version {done['version'][:12]}" in tailor.out
    assert told(tailor, "daemon", "add", "Drawing/ana", "-i", "drawing=pictures/dark/0.png", "-i", "label=night")["accepted"] == 1
    assert tailor("daemon", "update", "Drawing/ana", "--wait") == 0 and "is completed: 1 examples" in tailor.out
    versions = told(tailor, "daemon", "history", "Drawing", "ana")["versions"]
    assert [version["update"] is not None for version in versions] == [True, True]
    assert tailor("daemon", "rollback", "Drawing", "ana") == 0 and "is like HEAD~1" in tailor.out
    assert predicted(tailor, "Drawing/ana") == BRIGHT + DARK
    forgotten = told(tailor, "daemon", "forget", "Drawing/ana", "--label", "dark")
    assert forgotten["replaced"] >= 1 and predicted(tailor, "Drawing/ana") == BRIGHT * 2
    assert tailor("daemon", "history", "Drawing/ana") == 0 and len(tailor.out.splitlines()) >= 5
    with monkeypatch.context() as damaged:
        damaged.setattr(MLModelStore, "last_identifiers", unreadable)
        assert tailor("daemon", "users", "Drawing") == 0
        assert " trouble " in tailor.out and "ana: the last version cannot be told: no head" in tailor.out
    assert tailor("daemon", "remove", "Drawing/ana") == 0 and told(tailor, "daemon", "users", "Drawing") == {"users": []}
    assert tailor("daemon", "remove", "Drawing") == 0


def test_examples_are_called_by_what_they_are(tailor: Terminal, tmp_path: Path, daemon: Path) -> None:
    def ids(user: str) -> list[str]:
        return [row["id"] for row in told(tailor, "daemon", "examples", "points", user)["examples"]]

    def add(user: str, data: Path) -> tuple[int, int]:
        added = told(tailor, "daemon", "add", "points", user, "--data", data)
        return added["accepted"], added["duplicates"]

    rows = tmp_path / "rows.csv"
    rows.write_text("x_0,x_1,classLabel,id,time\n" + "1,2,low,,\n" * 2 + "3,4,high,mine,2026-01-02T03:04:05Z\n")
    assert add("bo", rows) == (3, 0), "two rows that are the same are two examples"
    same, again, mine = ids("bo")
    assert (mine, again) == ("mine", f"{same}-2") and len(same) == 24
    rows.write_text("x_0,x_1,classLabel,id,time\n5,6,low,,\n" + "1,2,low,,\n" * 2 + "3,4,high,mine,2026-01-02T03:04:05Z\n")
    assert add("bo", rows) == (1, 3), "what is new is added, wherever it stands"
    np.savez(tmp_path / "rows.npz", x=[[1.0, 2.0], [7.0, 8.0]], classLabel=["low", "high"])
    assert add("bo", tmp_path / "rows.npz") == (2, 0), "from another source"
    rows.write_text("x_0,x_1,classLabel,id,time\n3,4,low,mine,\n")
    assert tailor("daemon", "add", "points", "bo", "--data", rows) == 1 and "mine" in tailor.err
    assert told(tailor, "daemon", "add", "points", "bo", "-i", "x=[1, 2]", "-i", "classLabel=low", "--source", "me")["accepted"] == 1
    assert {row["source"] for row in told(tailor, "daemon", "examples", "points", "bo")["examples"]} == {"rows.csv", "rows.npz", "me"}
    assert tailor("daemon", "examples", "points", "bo", "--state", "waiting", "--most", "2") == 0 and tailor.out.count(" waiting ") == 2


def test_a_picture_that_changes_is_another_and_pixels_are_pictures(tailor: Terminal, tmp_path: Path) -> None:
    assert tailor("daemon", "register", "Drawing.mlmodel", "--name", "Changing") == 0, tailor.err
    folder = picture_folder(tmp_path / "mine")
    assert told(tailor, "daemon", "add", "Changing", "ana", "--data", folder)["accepted"] == 6
    picture(folder / "dark" / "0.png", 9, 9, 9, 9)
    picture(folder / "dark" / f"{'long' * 60}.png", 8, 8, 8, 8)
    assert told(tailor, "daemon", "add", "Changing", "ana", "--data", folder)["accepted"] == 2
    ids = [row["id"] for row in told(tailor, "daemon", "examples", "Changing", "ana")["examples"]]
    assert [name.partition("@")[0] for name in ids].count("dark/0.png") == 2
    np.savez(tmp_path / "p.npz", drawing=np.array([[[1, 2], [3, 4]], [[250, 251], [252, 253]]]), label=["dark", "bright"])
    assert told(tailor, "daemon", "add", "Changing", "bo", "--data", tmp_path / "p.npz")["accepted"] == 2
    assert tailor("daemon", "update", "Changing", "bo", "--wait") == 0, tailor.err
    assert tailor("daemon", "predict", "Changing", "bo", "--data", "pictures", "-o", tmp_path / "a.jsonl") == 0, tailor.err
    assert [json.loads(line)["label"] for line in (tmp_path / "a.jsonl").read_text().splitlines()] == BRIGHT + DARK
    np.savez(tmp_path / "p.npz", drawing=np.full((1, 2, 2), 256), label=["dark"])
    assert tailor("daemon", "add", "Changing", "bo", "--data", tmp_path / "p.npz") == 1 and "expected pixels" in tailor.err


def test_an_update_that_waits_is_in_the_hands_of_its_owner(tailor: Terminal) -> None:
    assert told(tailor, "daemon", "add", "r", "ana", "-i", "x=[1, 0]", "-i", "y_true=[2]")["waiting"] == 1
    begun = told(tailor, "daemon", "update", "r", "ana", "--epochs", "2")
    short = begun["identifier"][:6]
    assert begun["state"] in ("waiting", "running") and begun["parameters"]["epochs"] == 2
    paused = told(tailor, "daemon", "pause", short)
    assert (paused["identifier"], paused["state"]) == (begun["identifier"], "paused")
    assert tailor("why", short) == 0 and "somebody paused it" in tailor.out
    assert told(tailor, "daemon", "set", short, "learningRate=0.25")["parameters"] == {"epochs": 2, "learningRate": 0.25}
    assert tailor("daemon", "set", short, "epochs=5") == 1 and "expected one that can change once an update has begun" in tailor.err
    assert told(tailor, "top")["updates"][0]["why"].startswith("somebody paused it")
    assert tailor("top", "--once") == 0 and f"{begun['identifier'][:12]}  r/ana" in tailor.out and "somebody paused it" in tailor.out
    assert tailor("daemon", "updates", "--state", "paused") == 0 and begun["identifier"][:12] in tailor.out
    assert tailor("daemon", "cancel", short) == 0 and "is cancelled" in tailor.out
    assert [row["state"] for row in told(tailor, "daemon", "updates", "r/ana")["updates"]] == ["cancelled"]
    assert tailor("events", "--update", short) == 0 and f"({begun['identifier'][:12]})" in tailor.out.splitlines()[0]
    assert tailor("daemon", "update", "r", "ana") == 1 and "expected examples that wait for an update, got none" in tailor.err
    assert told(tailor, "daemon", "users", "r")["users"][0]["set_aside"] == 1


def test_looking_at_the_daemon(tailor: Terminal, daemon: Path) -> None:
    status = told(tailor, "status")
    assert status["state"] == "running" and status["listening"][0] == str(daemon / "daemon.sock")
    assert tailor("status", "--daemon", daemon / "daemon.sock") == 0 and f"process {status['pid']}, running for" in tailor.out
    assert tailor("events", "--most", "3", "--json") == 0
    numbers = [json.loads(line)["sequence"] for line in tailor.out.splitlines()]
    assert len(numbers) == 3 and numbers == sorted(numbers)
    assert tailor("events", "--after", numbers[1], "--json") == 0 and json.loads(tailor.out)["sequence"] == numbers[2]
    (daemon / "state" / "token-read").write_text("look\n")
    assert told(tailor, "daemon", "page") == {"address": f"{status['listening'][1]}/#token=look"}
    assert tailor("daemon", "reload") == 0 and "settings: the defaults" in tailor.out


FAILURES: list[tuple[str, list[str], int, str]] = [
    ("no daemon", ["status", "--daemon", "absent.sock"], 1, "no daemon answers at absent.sock; 'tailor daemon' starts one"),
    ("no place", ["status", "--daemon", "http://example.org:1"], 1, "expected the path of a socket or http://127.0.0.1:PORT"),
    ("no model", ["daemon", "users", "absent"], 1, "expected the name of a registered model, one of"),
    ("a climbing name", ["daemon", "users", "../../etc"], 1, "expected"),
    ("no user", ["daemon", "history", "points/nobody"], 1, "nobody"),
    ("no name of a user", ["daemon", "history", "points"], 2, "expected MODEL USER or MODEL/USER, got 'points'"),
    ("two users", ["daemon", "history", "points/a", "b"], 2, "expected MODEL USER or MODEL/USER, got 'points/a b'"),
    ("no file", ["daemon", "register", "absent.mlmodel"], 1, "absent.mlmodel: No such file"),
    ("no model in it", ["daemon", "register", "pictures/dark/0.png", "--name", "x"], 1, "expected"),
    ("another model", ["daemon", "register", "r.mlmodel", "--name", "points"], 1, "points"),
    ("no examples", ["daemon", "add", "points", "u"], 2, "give either --input"),
    ("examples of another", ["daemon", "add", "points", "u", "--data", "pictures"], 1, "this model needs 'x'"),
    ("no such input", ["daemon", "add", "points", "u", "-i", "z=1"], 1, "--input z: the model has no such input; it has 'x', 'classLabel'"),
    ("half an example", ["daemon", "add", "points", "u", "-i", "x=[1, 2]"], 1, "--input: model 'points': expected training input"),
    ("a wrong shape", ["daemon", "predict", "points", "-i", "x=[1, 2, 3]"], 1, "x"),
    ("no input", ["daemon", "predict", "points"], 2, "give either --input"),
    ("nowhere to write", ["daemon", "predict", "points", "-i", "x=[1, 2]", "-o", "absent/a"], 1, "absent"),
    ("nothing to learn", ["daemon", "update", "points", "bo", "--set", "epochs=-1"], 1, "epochs"),
    ("an unknown key", ["daemon", "update", "points", "u", "--set", "rate=1"], 1, "rate"),
    ("no such update", ["daemon", "pause", "abcdef"], 1, "update: expected one that begins with abcdef, got none"),
    ("no digits", ["daemon", "cancel", "points/ana"], 1, "expected six or more digits"),
    ("why of what", ["why", "points"], 2, "expected six or more digits (0-9, a-f) of an update, or MODEL/USER, got 'points'"),
    ("nothing to forget", ["daemon", "forget", "points", "bo"], 2, "give what to forget"),
    ("nowhere to sync", ["daemon", "sync"], 1, "sync"),
    ("a model with users", ["daemon", "remove", "points"], 1, "points"),
    ("no token", ["status", "--daemon", "PORT"], 1, "token"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), [row[1:] for row in FAILURES], ids=[row[0] for row in FAILURES])
def test_what_goes_wrong_is_one_line(
    tailor: Terminal, daemon: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(daemon))  # where no token is
    if "PORT" in arguments:
        address = told(tailor, "status")["listening"][1]
        arguments = [address if one == "PORT" else one for one in arguments]
    told(tailor, "daemon", "add", "points", "bo", "-i", "x=[9, 9]", "-i", "classLabel=low")
    assert tailor(*arguments) == code, tailor.out
    assert message in tailor.err and tailor.err.startswith("tailor: ") and not tailor.out
    assert "mistake in tailor" not in tailor.err


def test_a_failure_has_the_kind_that_the_daemon_says(tailor: Terminal) -> None:
    for arguments, kind in ((["daemon", "users", "absent"], "MLNotFoundError"), (["status", "--daemon", "absent.sock"], "connection")):
        assert tailor(*arguments, "--json") == 1
        assert json.loads(tailor.err)["error"]["type"] == kind


def test_help_fits_and_gives_examples(tailor: Terminal) -> None:
    assert tailor("daemon", "--help") == 0
    listed = tailor.out.partition("Commands:")[2]
    assert "..." not in listed
    names = [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and not line.startswith("   ")]
    assert {"register", "add", "update", "set", "page", "stop"} <= set(names)
    for command in [["status"], ["top"], ["why"], ["events"], *(["daemon", name] for name in names)]:
        assert tailor(*command, "--help") == 0
        assert f"tailor {' '.join(command)}" in tailor.out.partition("Example: ")[2]
        assert max(map(len, tailor.out.splitlines())) <= 80
