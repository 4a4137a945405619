"""The commands on a store of models, end to end on small models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tailor import MLModel
from tests.cli.models import Terminal
from tests.store.models import neighbors, network

Z = "0" * 64


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with three models, and a store that is not there yet."""
    for name in ("TAILOR_KEY_FILE", "TAILOR_PASSPHRASE", "TAILOR_NEW_PASSPHRASE", "TAILOR_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TAILOR_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    network(0.0, 0.0).write("Line.mlmodel")
    network(3.0, 4.0).write("mine.mlmodel")
    network(3.0, 0.0).write("later.mlmodel")
    return tmp_path


def kept(tailor: Terminal, model: str, *options: str) -> str:
    assert tailor("backup", model, "--base", "Line.mlmodel", "--user", "anna", *options, "--json") == 0, tailor.err
    return str(json.loads(tailor.out)["identifier"])


def told(tailor: Terminal, *arguments: object) -> dict[str, object]:
    assert tailor(*arguments, "--json") == 0, tailor.err
    assert tailor.err == ""
    return dict(json.loads(tailor.out))


def test_a_backup_is_restored_bit_for_bit(tailor: Terminal, place: Path) -> None:
    first = kept(tailor, "mine.mlmodel", "-m", "May", "--device", "phone")
    second = kept(tailor, "later.mlmodel", "--compress")
    assert kept(tailor, "later.mlmodel") == second
    for version, model in (("HEAD", "later"), ("HEAD~1", "mine"), (first[:6], "mine"), (second, "later")):
        assert tailor("restore", "Line/anna", "--version", version, "-o", "again.mlmodel") == 0, tailor.err
        assert MLModel("again.mlmodel").content_hash == MLModel(f"{model}.mlmodel").content_hash
    versions = told(tailor, "log", "Line/anna")["versions"]
    assert isinstance(versions, list)
    assert [(row["identifier"], row["message"], row["device"]) for row in versions][1] == (first, "May", "phone")
    assert [row["identifier"] for row in versions] == [second, first]
    heads = told(tailor, "log")["heads"]
    assert isinstance(heads, list)
    assert [(row["model"], row["user"], row["identifier"]) for row in heads] == [("Line", "anna", second)]
    for arguments in ((), ("Line",), ("Line/anna",)):
        assert tailor("log", *arguments) == 0
        assert second[:12] in tailor.out
        assert "Line/anna" in tailor.out


def test_a_new_store_is_told_once_and_that_it_is_not_encrypted(tailor: Terminal, place: Path) -> None:
    for command, new in (("mine.mlmodel", True), ("mine.mlmodel", False), ("later.mlmodel", False)):
        assert tailor("backup", command) == 0, tailor.err
        line = f"{place / 'store'}: a new store, not encrypted ('tailor keys create' makes one that is)"
        assert tailor.out.splitlines()[:-1] == ([line] if new else [])
    assert told(tailor, "backup", "mine.mlmodel", "--store", "other")["newStore"] is True
    assert tailor("keys", "create", "--key-file", "a.key", "--store", "locked") == 0
    assert told(tailor, "backup", "mine.mlmodel", "--key-file", "a.key", "--store", "locked")["newStore"] is False


def test_a_snapshot_is_backed_up_too_and_a_file_is_taken_for_a_snapshot(tailor: Terminal, place: Path) -> None:
    assert tailor("snapshot", "mine.mlmodel", "--base", "Line.mlmodel", "-o", "Line") == 0
    kept(tailor, "Line")
    assert tailor("restore", "Line/anna", "-o", "a.mlmodel") == 0
    assert tailor("restore", "Line", "--base", "Line.mlmodel", "-o", "b.mlmodel") == 0
    assert Path("a.mlmodel").read_bytes() == Path("b.mlmodel").read_bytes()


def test_the_store_is_in_the_users_data_folder_where_nobody_says_where(
    tailor: Terminal, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAILOR_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(place / "data"))
    kept(tailor, "mine.mlmodel")
    assert (place / "data" / "tailor" / "store" / "heads").is_dir()


def test_diff_of_versions_and_of_files(tailor: Terminal, place: Path) -> None:
    kept(tailor, "mine.mlmodel")
    kept(tailor, "later.mlmodel")
    for arguments, norm in (
        (("Line/anna",), 3.0),
        (("Line/anna", "HEAD~1"), 4.0),
        (("Line/anna", "later.mlmodel", "HEAD~1"), 4.0),
        (("Line.mlmodel", "mine.mlmodel"), 5.0),
    ):
        rows = told(tailor, "diff", *arguments)["weights"]
        assert isinstance(rows, list)
        assert [(row["name"], row["norm"]) for row in rows] == [("dense.weights", norm)]
    assert tailor("diff", "mine.mlmodel", "later.mlmodel") == 0
    assert "80.000%" in tailor.out  # 4 of 5
    assert tailor("diff", "mine.mlmodel", "mine.mlmodel") == 0
    assert tailor.out == "no difference\n"
    neighbors("a").write("a.mlmodel")
    neighbors("ab").write("b.mlmodel")
    assert tailor("diff", "a.mlmodel", "b.mlmodel") == 0
    assert "+1" in tailor.out


def test_going_back_and_tags(tailor: Terminal, place: Path) -> None:
    first = kept(tailor, "mine.mlmodel")
    second = kept(tailor, "later.mlmodel")
    assert told(tailor, "tag", "Line/anna", "good") == {"tags": {"good": second}}
    assert told(tailor, "rollback", "Line/anna", "--to", "HEAD~1", "-m", "oh")["parents"] == [second]
    assert tailor("restore", "Line/anna", "-o", "again.mlmodel") == 0
    assert MLModel("again.mlmodel").content_hash == MLModel("mine.mlmodel").content_hash
    assert tailor("log", "Line/anna") == 0
    for part in ("[good]", "oh", f"back to {first[:12]}"):
        assert part in tailor.out
    assert tailor("tag", "Line/anna", "good", "--version", "HEAD~2") == 1
    assert "replace it" in tailor.err
    assert told(tailor, "tag", "Line/anna", "good", "--version", "HEAD~2", "--replace") == {"tags": {"good": first}}
    assert tailor("tag", "Line/anna", "good", "--remove") == 0
    assert tailor.out == "no tags\n"


def test_what_no_policy_keeps_goes_and_is_said_beforehand(tailor: Terminal, place: Path) -> None:
    first = kept(tailor, "mine.mlmodel")
    kept(tailor, "later.mlmodel")
    options = ("--keep-last", "1", "--grace", "0")
    expected = told(tailor, "prune", *options, "--dry-run")
    assert tailor("prune", *options, "--dry-run") == 0
    assert "would go" in tailor.out
    assert first[:12] in tailor.out
    done = told(tailor, "prune", *options)
    assert (expected.pop("dryRun"), done.pop("dryRun")) == (True, False)
    assert done == expected
    assert isinstance(done["pruned"], list)
    assert [row["identifier"] for row in done["pruned"]] == [first]
    assert tailor("restore", "Line/anna", "--version", "HEAD~1", "-o", "again.mlmodel") == 1
    assert "whose snapshot was pruned" in tailor.err
    assert not Path("again.mlmodel").exists()
    assert tailor("log", "Line/anna") == 0
    assert "(pruned)" in tailor.out


def test_damage_is_told_with_exit_code_1(tailor: Terminal, place: Path) -> None:
    version = kept(tailor, "mine.mlmodel")
    assert told(tailor, "verify")["whole"] is True
    assert tailor("verify") == 0
    assert "all of it whole" in tailor.out
    path = place / "store" / "objects" / version[:2] / version
    data = path.read_bytes()
    path.write_bytes(data[:-40] + bytes((data[-40] ^ 1,)) + data[-39:])
    assert tailor("verify") == 1
    assert version[:8] in tailor.out
    assert tailor("verify", "--json") == 1
    assert version in json.loads(tailor.out)["problems"][0]["key"]
    assert tailor("restore", "Line/anna", "-o", "again.mlmodel") == 1
    assert "damaged" in tailor.err


def test_export_and_import(tailor: Terminal, place: Path) -> None:
    kept(tailor, "mine.mlmodel")
    assert told(tailor, "export", "all.tailor")["size"] == Path("all.tailor").stat().st_size
    assert tailor("import", "all.tailor", "--store", "other") == 0
    assert "created" in tailor.out
    theirs = kept(tailor, "later.mlmodel", "--store", "other")
    kept(tailor, "mine.mlmodel", "-m", "again")
    assert tailor("export", "anna.tailor", "Line/anna", "--store", "other") == 0
    rows = told(tailor, "import", "anna.tailor")["heads"]
    assert isinstance(rows, list)
    assert [(row["outcome"], row["beside"]) for row in rows] == [("diverged", f"imported-{theirs[:12]}")]
    assert told(tailor, "verify")["whole"] is True


def test_an_encrypted_store_takes_its_key(tailor: Terminal, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ("--key-file", "a.key")
    assert tailor("keys", "create", *key) == 0, tailor.err
    kept(tailor, "mine.mlmodel", *key)
    assert tailor("restore", "Line/anna", "-o", "again.mlmodel", *key) == 0
    assert MLModel("again.mlmodel").content_hash == MLModel("mine.mlmodel").content_hash
    assert not [path for path in (place / "store").rglob("*") if "anna" in path.name or "line" in path.name]
    assert tailor("log") == 1
    assert "expected a key file" in tailor.err
    assert tailor("keys", "create", "--key-file", "b.key") == 1  # there is one already
    assert tailor("log", "--key-file", "b.key") == 1
    assert "a key of this store" in tailor.err
    assert tailor("keys", "rotate", *key, "--new-key-file", "b.key") == 0, tailor.err
    assert tailor("log", *key) == 1
    assert tailor("log", "--key-file", "b.key") == 0, tailor.err
    ids = told(tailor, "keys", "list")["keys"]
    assert isinstance(ids, list)
    assert [row["kind"] for row in ids] == ["key file"]
    assert tailor("keys", "remove", ids[0]["id"], "--key-file", "b.key") == 1  # the last one
    assert tailor("keys", "add", "--key-file", "b.key", "--new-key-file", "a.key") == 0
    assert tailor("keys", "remove", ids[0]["id"], *key) == 0, tailor.err
    assert tailor("log", "--key-file", "b.key") == 1
    monkeypatch.setenv("TAILOR_STORE", str(place / "plain"))
    assert tailor("backup", "mine.mlmodel", *key) == 1
    assert "expected an encrypted store" in tailor.err
    assert not (place / "plain").exists()
    kept(tailor, "mine.mlmodel")
    assert tailor("keys", "create", *key) == 1
    assert "not encrypted" in tailor.err


FAILURES: list[tuple[list[str], int, str]] = [
    (["log", "--store", "absent"], 1, "absent: expected a store, got nothing of this name"),
    (["verify", "--store", "absent"], 1, "absent: expected a store"),
    (["log", "--store", "mine.mlmodel"], 1, "mine.mlmodel"),
    (["log", "--store", "ftp://host/store"], 1, "expected a path or one of memory:, file:"),
    (["log", "Other"], 1, "got Other//main, of which there is nothing"),
    (["log", "/anna"], 2, "expected NAME or NAME/USER, got '/anna'"),
    (["restore", "Line", "-o", "o"], 1, "of this model there is Line/anna/main"),
    (["restore", "Line/anna", "--version", Z, "-o", "o"], 1, "which none has"),
    (["restore", "Line/anna", "--version", "HEAD~1", "-o", "o"], 1, "expected a version 1 steps before HEAD, got only 0"),
    (["restore", "Line/anna", "-o", "absent/o"], 1, "the folder 'absent' does not exist"),
    (["backup", "absent.mlmodel"], 1, "absent.mlmodel"),
    (["backup", "mine.mlmodel", "--user", "x" * 100], 1, "name.user: expected a printable text of at most 60 characters"),
    (["backup", "mine.mlmodel", "--half"], 1, "expected a base"),
    (["backup", "other.mlmodel", "--base", "Line.mlmodel"], 1, "other.mlmodel"),
    (["rollback", "Line/anna"], 2, "--to"),
    (["rollback", "Line/anna", "--to", "summer"], 1, "got 'summer', which none has"),
    (["diff", "mine.mlmodel"], 2, "expected a second .mlmodel"),
    (["diff", "Line/anna", "HEAD~4"], 1, "expected a version 4 steps before HEAD"),
    (["tag", "Line/anna", "abcdef"], 1, "nor hex digits alone"),
    (["tag", "Line/anna", "none", "--remove"], 1, "expected a tag, got 'none'"),
    (["prune", "--keep-last", "0"], 2, "--keep-last"),
    (["export", "absent/o"], 1, "the folder 'absent' does not exist"),
    (["export", "o", "Other"], 1, "got Other, of which there is nothing"),
    (["import", "mine.mlmodel"], 1, "mine.mlmodel: magic"),
    (["keys", "list"], 1, "expected an encrypted store"),
    (["keys", "create", "--key-file", "mine.mlmodel", "--store", "new"], 1, "mine.mlmodel: expected a key file"),
]


@pytest.mark.parametrize(("arguments", "status", "message"), FAILURES, ids=[" ".join(row[0])[:40] for row in FAILURES])
def test_a_failure_is_one_message_and_changes_nothing(
    arguments: list[str], status: int, message: str, tailor: Terminal, place: Path
) -> None:
    kept(tailor, "mine.mlmodel")
    network(1.0, 2.0, 3.0).write("other.mlmodel")
    Path("mine.mlmodel").chmod(0o600)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert tailor(*arguments) == status
    assert message in tailor.err
    assert tailor.err.startswith("tailor: ")
    assert "unexpected" not in tailor.err
    assert tailor.out == ""
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", ["backup", "log", "diff", "tag", "rollback", "verify", "prune", "export", "import", "keys"])
def test_help_fits_and_gives_an_example(command: str, tailor: Terminal) -> None:
    assert tailor(command, "--help") == 0
    pages = [tailor.out]
    if command == "keys":
        pages = []
        for action in ("create", "list", "add", "remove", "rotate"):
            assert tailor(command, action, "--help") == 0
            pages.append(tailor.out)
    for page in pages:
        assert f"Example: tailor {command} " in page or f"Example: tailor {command}\n" in page
        assert max(map(len, page.splitlines())) <= 80
