"""The file of settings: what it gives, what is wrong with it, and where things are without one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tailor import MLModelError
from tailor.daemon.configuration import Places, Settings, SettingsError, every_field, find_settings, private_folder, read_settings
from tailor.daemon.configuration.settings import Conditions, Guard, Model, Remote, Updates, Watch

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file goes, and a home folder."""
    monkeypatch.setenv("HOME", "/home/ann")
    return tmp_path / "tailor.toml"


def test_a_file_gives_what_it_says_and_defaults_otherwise(file: Path) -> None:
    file.write_text(
        """
        state = "state"
        store = "s3://bucket/models"
        key_file = "~/a.key"
        workers = 2
        [updates]
        examples = 20
        parameters = { epochs = 3, model1.numberOfNeighbors = 5 }
        conditions = { idle = true, quiet = ["22:00", "06:30"] }
        guard = { margin = 1 }
        [models."a.b"]
        path = "../a.mlmodel"
        [models.c]
        path = "/models/c.mlmodel"
        updates = { interval = 60, guard.hold_out = 0.5, conditions.idle = false, parameters.seed = 7 }
        [watch.inbox]
        folder = "in"
        model = "c"
        user = "ann"
        [[sync.remotes]]
        place = "backup"
        direction = "push"
        """
    )
    folder, common = file.parent, {"epochs": 3, "model1.numberOfNeighbors": 5}
    quiet = ("22:00", "06:30")
    assert read_settings(file) == Settings(
        state=f"{folder}/state",
        store="s3://bucket/models",
        key_file="/home/ann/a.key",
        workers=2,
        updates=Updates(examples=20, parameters=common, conditions=Conditions(idle=True, quiet=quiet), guard=Guard(margin=1.0)),
        models={
            "a.b": Model(path=f"{folder}/../a.mlmodel"),
            "c": Model(
                path="/models/c.mlmodel",
                updates=Updates(
                    examples=20,
                    interval=60.0,
                    parameters={"seed": 7},
                    conditions=Conditions(quiet=quiet),
                    guard=Guard(margin=1.0, hold_out=0.5),
                ),
            ),
        },
        watch={"inbox": Watch(folder=f"{folder}/in", model="c", user="ann")},
        sync=Settings().sync.__class__(remotes=[Remote(place=f"{folder}/backup", direction="push")]),
    )
    assert read_settings(None) == Settings()


WRONG: list[tuple[str, list[str]]] = [
    ("a = 1\nb", ["line 2: expected TOML, got what is none: expected '='"]),
    ('x = "\ty\n"', ["line 1: expected TOML, got what is none at column"]),
    ("[a]\n\n[a]", ["line 3: expected TOML"]),
    ("workrs = 1", ["line 1: workrs: expected a known name, maybe 'workers', got a name that is not known"]),
    ("[http]\nhosts = 1", ["line 2: http.hosts: expected one of socket, port, body_bytes"]),
    (
        "\nworkers = 0\nprocesses = 1.5",
        ["line 2: workers: expected a whole number from 1 to 1024, got 0", "line 3: processes: ", "got 1.5"],
    ),
    ("workers = true", ["line 1: workers: expected a whole number from 1 to 1024, got true"]),
    ("stop_seconds = inf", ["line 1: stop_seconds: expected a number above 0 and at most 1e+09, got inf"]),
    ("[updates]\nbudget = nan", ["line 2: updates.budget: expected a number from 0"]),
    ("updates = 3", ["line 1: updates: expected a table, got 3"]),
    ('[log]\nlevel = "all"', ['line 2: log.level: expected "debug" or "error" or "info" or "warning", got "all"']),
    (
        "[models.a]\n\n[models.'b/c']\npath = ''",
        ["line 1: models.a.path: expected a path, got nothing", "line 3: models.'b/c': expected a name", "line 4: "],
    ),
    (
        "[updates.conditions]\nquiet = [\n'22:00',\n'24:00']",
        ["line 4: updates.conditions.quiet[1]: expected a local time of day", 'got "24:00"'],
    ),
    ("[updates.conditions]\nquiet = ['22:00']", ["line 2: updates.conditions.quiet: expected [a local time of day", "got an array of 1"]),
    (
        "[[sync.remotes]]\nplace = 'a'\n[[sync.remotes]]\nplace = 7",
        ["line 4: sync.remotes[1].place: expected a folder, a file or a URL, got 7"],
    ),
    ("[updates.parameters]\nrate = 1", ["line 2: updates.parameters.rate: expected one of learningRate", "got 'rate'"]),
    ("[updates.parameters]\nepochs = '1'", ["line 2: updates.parameters.epochs: expected a number, or true or false, got str"]),
    # what cannot be together
    ("[updates]\nlearn_from = 'all'", ["line 2: updates.learn_from: expected [examples] keep_learned = true"]),
    (
        "[models.a]\npath = 'a'\nupdates.learn_from = 'all'",
        ["line 3: models.a.updates.learn_from: expected [examples] keep_learned = true"],
    ),
    ("state = 'a'\nstore = './a'", ["line 2: store: expected a place of its own"]),
    ("state = 'in/state'\n[watch.w]\nfolder = 'in'\nmodel='m'\nuser='u'", ["line 3: watch.w.folder: expected a folder apart from state"]),
    (
        "[watch.w]\nfolder = 'in'\nmodel='m'\nuser='u'\n[watch.x]\nfolder = 'other/../in/x'\nmodel='m'\nuser='v'",
        ["line 6: watch.x.folder: expected a folder apart from that of watch.w"],
    ),
    ("[[sync.remotes]]\nplace = 'a'\n[[sync.remotes]]\nplace = 'a'", ["line 4: sync.remotes[1].place: expected another place"]),
    (f"a = {'[' * 5000}", ["expected a few levels"]),
    ("#" * 2**20 + "\n", ["expected at most 1048576 bytes, got more"]),
]


@pytest.mark.parametrize(("text", "told"), WRONG, ids=[row[0][:30] for row in WRONG])
def test_what_is_wrong_is_told_with_its_line(text: str, told: list[str], file: Path) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_settings(file)
    message = str(caught.value)
    assert all(line.startswith(f"{file}: ") for line in message.splitlines())
    assert [part for part in told if part not in message] == []
    assert len(caught.value.problems) == len([part for part in told if part.startswith(("line", "expected"))])


def test_a_file_that_cannot_be_read_is_told(file: Path) -> None:
    for prepare, told in (
        (lambda: None, "got No such file"),
        (lambda: file.write_bytes(b"a = 1\n# \xff"), "line 2: expected text in UTF-8, got the byte 0xff"),
    ):
        prepare()
        with pytest.raises(SettingsError, match=told):
            read_settings(file)


def test_the_documentation_has_every_field_with_its_default_and_what_it_may_be() -> None:
    rows = {}
    for line in (ROOT / "docs" / "daemon.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4:
            rows[cells[0].strip("`")] = (cells[1], cells[2])
    fields = {name: (kind, default) for name, kind, default in every_field() if not name.startswith("models.NAME.updates.")}
    assert {name: told for name, told in rows.items() if name in fields} == {
        name: (kind, "must be given" if default is ... else f"`{toml(default)}`" if default not in (None, {}) else "none")
        for name, (kind, default) in fields.items()
    }


def toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


VARIABLES = (
    "STATE_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_DATA_HOME",
    "XDG_CONFIG_HOME",
    "TAILOR_STORE",
)

PLACES: list[tuple[dict[str, str], Settings, tuple[str, str, str]]] = [
    ({}, Settings(), ("/h/.local/state/tailor", "/h/.local/share/tailor/store", "/h/.local/state/tailor/daemon.sock")),
    (
        {"XDG_STATE_HOME": "/s", "XDG_DATA_HOME": "/d", "XDG_RUNTIME_DIR": "/r"},
        Settings(),
        ("/s/tailor", "/d/tailor/store", "/r/tailor/daemon.sock"),
    ),
    ({"XDG_STATE_HOME": "relative"}, Settings(state="/x"), ("/x", "/h/.local/share/tailor/store", "/x/daemon.sock")),
    (
        {"STATE_DIRECTORY": "/var/lib/tailor:/other", "RUNTIME_DIRECTORY": "/run/tailor", "XDG_STATE_HOME": "/s"},
        Settings(),
        ("/var/lib/tailor", "/var/lib/tailor/store", "/run/tailor/daemon.sock"),
    ),
    ({"STATE_DIRECTORY": "/v", "TAILOR_STORE": "/t"}, Settings(), ("/v", "/t", "/v/daemon.sock")),
    ({"STATE_DIRECTORY": "/v", "TAILOR_STORE": "/t"}, Settings(state="/x", store="s3://b"), ("/x", "s3://b", "/x/daemon.sock")),
]


@pytest.mark.parametrize(("environment", "settings", "expected"), PLACES)
def test_places(environment: dict[str, str], settings: Settings, expected: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/h", **environment}.items():
        monkeypatch.setenv(name, value)
    found = Places.of(settings)
    assert (str(found.state), found.store, str(found.socket)) == expected
    asked = Places.of(settings, state=Path("/asked"), socket=Path("/asked.sock"))
    assert (str(asked.state), asked.store, str(asked.socket)) == ("/asked", expected[1], "/asked.sock")


def test_the_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tailor.daemon.configuration.places.SYSTEM", tmp_path / "etc.toml")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_settings() is None
    (tmp_path / "etc.toml").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert find_settings() is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert find_settings() == tmp_path / "etc.toml"
    for variable, folder in ((None, ".config/tailor"), ("XDG_CONFIG_HOME", "xdg/tailor"), ("CONFIGURATION_DIRECTORY", "etc/tailor")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "tailor.toml").touch()
        if variable is not None:
            monkeypatch.setenv(variable, str(tmp_path / (folder if variable.startswith("CONF") else "xdg")))
        assert find_settings() == tmp_path / folder / "tailor.toml"


def test_folders_are_for_their_owner_only(tmp_path: Path) -> None:
    made = private_folder(tmp_path / "a" / "b")
    assert made.stat().st_mode & 0o777 == 0o700
    made.chmod(0o755)
    assert private_folder(made) == made  # others may look: every file in it is private by itself
    made.chmod(0o775)
    with pytest.raises(MLModelError, match="only its owner can write to .*, got mode 775"):
        private_folder(made)
    (tmp_path / "file").touch()
    with pytest.raises(MLModelError, match="expected a folder, .* got File exists"):
        private_folder(tmp_path / "file")
