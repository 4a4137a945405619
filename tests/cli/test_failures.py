"""What goes wrong is one message of ours, an exit code, and no file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.models import Terminal, drawings, neighbors, regression
from tests.places import shared_model

DATA = '{"x": [1, 0], "y_true": [2]}\n'

FAILURES: list[tuple[str, list[str], int, str]] = [
    ("no model", ["inspect", "absent.mlmodel"], 1, "absent.mlmodel"),
    ("a folder", ["inspect", "."], 1, "expected"),
    ("an empty model", ["inspect", "empty.mlmodel"], 1, "empty.mlmodel"),
    ("no such input", ["predict", "r.mlmodel", "--input", "z=1"], 1, "--input z: the model has no such input; it has 'x'"),
    ("a wrong shape", ["predict", "r.mlmodel", "--input", "x=[1, 2, 3]"], 1, "'x': expected a float32 multi-array of shape [2]"),
    ("no such image", ["predict", "i.mlmodel", "--input", "drawing=no.png"], 1, "--input drawing: expected an image 2x2 grayscale, got"),
    ("no equals sign", ["predict", "r.mlmodel", "--input", "x"], 2, "expected NAME=VALUE, got 'x'"),
    ("input and data", ["predict", "r.mlmodel", "--input", "x=[1,2]", "--data", "d.jsonl"], 2, "either --input"),
    ("neither", ["predict", "r.mlmodel"], 2, "either --input"),
    ("no data", ["update", "r.mlmodel", "--data", "absent", "--output", "o"], 1, "absent"),
    ("another's data", ["update", "n.mlmodel", "--data", "d.jsonl", "--output", "o"], 1, "line 1: expected the features 'point', 'label'"),
    ("an unknown key", ["update", "r.mlmodel", "--data", "d.jsonl", "--output", "o", "--set", "rate=1"], 1, "rate"),
    ("out of range", ["update", "r.mlmodel", "--data", "d.jsonl", "--output", "o", "--set", "learningRate=7"], 1, "learningRate: expected"),
    ("twice", ["update", "r.mlmodel", "--data", "d.jsonl", "--output", "o", "--set", "seed=2", "--seed", "3"], 2, "'seed' was given twice"),
    ("not a number", ["update", "r.mlmodel", "--data", "d.jsonl", "--output", "o", "--epochs", "x"], 2, "--epochs"),
    (
        "no such layer",
        ["update", "r.mlmodel", "--data", "d.jsonl", "--output", "o", "--trainable", "conv"],
        1,
        "(layers: 'dense'), got 'conv'",
    ),
    (
        "no option",
        ["update", "r.mlmodel", "--data", "d.jsonl", "--output", "o", "--option", "clip=1"],
        2,
        "expected one of clip_value, clip_norm",
    ),
    ("an option twice", ["update", "r.mlmodel", "--data", "d.jsonl", "--output", "o", *["--option", "accumulate=2"] * 2], 2, "given twice"),
    (
        "no schedule",
        ["update", "r.mlmodel", "--data", "d.jsonl", "--output", "o", "--option", "schedule=x"],
        2,
        "kind: expected one of constant",
    ),
    ("no folder", ["update", "r.mlmodel", "--data", "d.jsonl", "--output", "absent/o"], 1, "absent"),
    ("no folder for classes", ["codegen", "r.mlmodel", "--output", "absent/o.py"], 1, "absent"),
    ("classes of no model", ["codegen", "empty.mlmodel"], 1, "empty.mlmodel"),
    ("a folder as output", ["snapshot", "r.mlmodel", "--output", "."], 1, "folder"),
    ("no snapshot", ["restore", "absent", "--output", "o"], 1, "absent"),
    ("not a snapshot", ["restore", "d.jsonl", "--output", "o"], 1, "d.jsonl: magic: expected a tailor record"),
    ("no such command", ["upgrade"], 2, "upgrade"),
    ("no such option", ["inspect", "r.mlmodel", "--colour"], 2, "--colour"),
    ("nothing to check", ["check", "i.mlmodel", "--data", "d.jsonl"], 1, "line 1: expected the features 'drawing', 'label'"),
    ("no mini-batches", ["check", "r.mlmodel", "--data", "d.jsonl", "--mini-batches", "0"], 2, "--mini-batches"),
    ("no output", ["update", "r.mlmodel", "--data", "d.jsonl"], 2, "--output"),
]


@pytest.mark.parametrize(("arguments", "status", "message"), [row[1:] for row in FAILURES], ids=[row[0] for row in FAILURES])
def test_a_failure_is_one_message_and_a_code(
    arguments: list[str], status: int, message: str, tailor: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    regression(Path("r.mlmodel"))
    neighbors(Path("n.mlmodel"))
    drawings(Path("i.mlmodel"))
    Path("d.jsonl").write_text(DATA)
    Path("empty.mlmodel").write_bytes(b"")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert tailor(*arguments) == status
    assert message in tailor.err
    assert tailor.err.startswith("tailor: ")
    assert "Traceback" not in tailor.err
    assert tailor.out == ""
    assert tailor(*arguments, "--json") == status
    error = json.loads(tailor.err)["error"]
    assert message in error["message"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "name", ["Corrupt_prerelease_format.mlmodel", "BasicPitch.mlpackage", "TreesRanker_a_z.mlmodel", "CustomSwishLayer.mlmodel"]
)
def test_real_models_that_cannot_run_say_why(name: str, tailor: Terminal) -> None:
    tailor("inspect", shared_model(name))
    assert "Traceback" not in tailor.err
    if name.startswith("Corrupt"):
        assert "Corrupt_prerelease_format" in tailor.err
    else:
        assert tailor.err == ""


def test_numbers_that_are_not_finite_do_not_reach_training(tailor: Terminal, tmp_path: Path) -> None:
    data = tmp_path / "d.csv"
    data.write_text("x_0,x_1,y_true\n1,2,3\n1,nan,3\n")
    assert tailor("update", regression(tmp_path / "r.mlmodel"), "--data", data, "--output", tmp_path / "o") == 1
    assert "'x'" in tailor.err
    assert "nan" in tailor.err
    assert not (tmp_path / "o").exists()


def test_help_says_what_the_exit_codes_mean_and_gives_examples(tailor: Terminal) -> None:
    assert tailor("--help") == 0
    assert "130 interrupted" in tailor.out
    assert "..." not in tailor.out.partition("Commands:")[2]
    for command in ("inspect", "predict", "explain", "forget", "profile", "update", "snapshot", "restore", "codegen"):
        assert command in tailor.out
        assert tailor(command, "--help") == 0
        assert f"Example: tailor {command} " in tailor.out
        assert max(map(len, tailor.out.splitlines())) <= 80
        tailor("--help")
    assert max(map(len, tailor.out.splitlines())) <= 80
    assert tailor() == 2
    assert "Usage: tailor" in tailor.out
    assert tailor("--version") == 0
    assert tailor.out.startswith("tailor")


def test_a_mistake_of_ours_is_told_without_a_traceback(tailor: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise LookupError("lost")

    monkeypatch.setattr("tailor.cli.inspect.MLModel", broken)
    assert tailor("inspect", tmp_path) == 1
    assert tailor.err.startswith("tailor: unexpected LookupError: lost")
    with pytest.raises(LookupError):
        tailor("--traceback", "inspect", tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="needs a signal to interrupt another process with")
def test_an_interruption_during_the_imports_ends_quietly(tmp_path: Path) -> None:
    """The child's NumPy is a file that says so and waits for ever."""
    (tmp_path / "numpy.py").write_text("import sys\nprint('importing', flush=True)\nsys.stdin.read()\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command, root = [sys.executable, "-m", "tailor_command", "--version"], Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        command, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        assert (process.stdout.read(), process.stderr.read() if process.stderr else "") == ("", "tailor: interrupted\n")
    assert process.returncode == 130


@pytest.mark.skipif(os.name == "nt", reason="needs a signal to interrupt another process with")
def test_an_interruption_ends_the_update_and_leaves_nothing_behind(tmp_path: Path) -> None:
    base = regression(tmp_path / "r.mlmodel")
    # More epochs of more batches than anybody waits for.
    (tmp_path / "d.jsonl").write_text(DATA * 4_000)
    arguments = ["update", str(base), "--data", str(tmp_path / "d.jsonl"), "--output", str(tmp_path / "o.mlmodel"), "--epochs", "100"]
    command = [sys.executable, "-m", "tailor.cli", *arguments, "--set", "learningRate=0.001"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("epoch 1/100")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "tailor: interrupted"
    assert out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.jsonl", "r.mlmodel"]
