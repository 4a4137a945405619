"""``tailor update`` that is stopped, and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import numpy as np
import pytest

from tailor import MLArrayBatchProvider, MLModel, MLModelConfiguration, MLUpdateContext, MLUpdateTask, read_checkpoint
from tailor import MLParameterKey as Key
from tests.cli.models import Terminal, regression

DATA = '{"x": [1, 0], "y_true": [2]}\n{"x": [0, 1], "y_true": [-1]}\n{"x": [1, 1], "y_true": [1]}\n'
EPOCHS = 30


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """An update of some epochs of 30 mini-batches, but for the output."""
    (tmp_path / "d.jsonl").write_text(DATA * 20)
    base = regression(tmp_path / "r.mlmodel")
    parameters = ["--shuffle", "--seed", "5", "--epochs", str(EPOCHS), "--set", "learningRate=0.001"]
    return ["update", str(base), "--data", str(tmp_path / "d.jsonl"), *parameters]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model that such an update makes when nobody stops it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    base = regression(folder / "r.mlmodel")
    x, y = np.array([[1, 0], [0, 1], [1, 1]] * 20, np.float32), np.array([[2], [-1], [1]] * 20, np.float32)
    parameters = {Key.SHUFFLE: True, Key.SEED: 5, Key.EPOCHS: EPOCHS, Key.LEARNING_RATE: 0.001}

    async def run() -> MLUpdateContext:
        return await MLUpdateTask(base, MLArrayBatchProvider({"x": x, "y_true": y}), MLModelConfiguration(parameters=parameters))

    return anyio.run(run).model.to_bytes()


@pytest.mark.skipif(os.name == "nt", reason="needs signals that Windows does not have")
@pytest.mark.parametrize(("number", "status"), [("SIGKILL", -9), ("SIGTERM", 130)])
def test_stopped_on_the_way_it_goes_on_and_ends_with_the_same_bits(
    number: str, status: int, arguments: list[str], undisturbed: bytes, tailor: Terminal, tmp_path: Path
) -> None:
    checkpoint, output = tmp_path / "c.tailor", tmp_path / "o.mlmodel"
    every = ["15", "--resume"] if number == "SIGKILL" else ["1000000", "--resume"]
    resumable = [*arguments, "--output", str(output), "--checkpoint", str(checkpoint), "--checkpoint-every", *every]
    with subprocess.Popen([sys.executable, "-m", "tailor.cli", *resumable], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = [process.stderr.readline() for _ in range(3)]
        while number == "SIGKILL" and not checkpoint.exists():  # the first is on its way
            assert process.stderr.readline().startswith("epoch ")
        process.send_signal(getattr(signal, number))
        _, rest = process.communicate(timeout=60)
    assert [line.split("  ")[0] for line in told] == [f"epoch {epoch}/{EPOCHS}" for epoch in (1, 2, 3)]
    assert process.returncode == status
    if number != "SIGKILL":
        assert rest.splitlines()[-2:] == [f"{checkpoint} says how far it was; go on with --resume", "tailor: interrupted"]
    assert not output.exists()
    epoch = read_checkpoint(checkpoint).progress["epoch"]
    assert isinstance(epoch, int)
    assert (0 if number == "SIGKILL" else 3) <= epoch < EPOCHS
    assert tailor(*resumable) == 0
    places = (f"epoch {epoch + 1}, after ", f"after {epoch} epoch")
    assert tailor.err.startswith(tuple(f"going on from {checkpoint}: {place}" for place in places))
    assert output.read_bytes() == undisturbed
    assert not checkpoint.exists()


def test_in_windows_of_time_it_ends_with_the_same_bits(arguments: list[str], undisturbed: bytes, tailor: Terminal, tmp_path: Path) -> None:
    """In real time, for the budget is: however much fits into a window, something does, and the last one writes the model."""
    output, checkpoint = tmp_path / "o.mlmodel", tmp_path / "c"
    line = [*arguments, "--output", output, "--checkpoint", checkpoint, "--resume", "--json", "--budget"]
    codes = [tailor(*line, 1e-9), tailor(*line, 0.25)]
    assert not output.exists() or codes[1] == 0
    while codes[-1] == 75:
        codes.append(tailor(*line, 0.25 * len(codes)))
        assert checkpoint.exists() == (codes[-1] == 75)
    assert codes[0] == 75 and codes[-1] == 0
    assert output.read_bytes() == undisturbed


def test_a_budget_that_ends_before_anything_was_learned_says_so(arguments: list[str], tailor: Terminal, tmp_path: Path) -> None:
    assert tailor(*arguments, "--output", tmp_path / "o.mlmodel", "--checkpoint", tmp_path / "c", "--resume", "--budget", 1e-9) == 75
    assert tailor.err == "the budget ended before anything was learned\n"
    assert not any(path.exists() for path in (tmp_path / "o.mlmodel", tmp_path / "c"))


def test_without_a_checkpoint_yet_it_begins(arguments: list[str], tailor: Terminal, tmp_path: Path) -> None:
    options = ["--output", tmp_path / "o.mlmodel", "--checkpoint", tmp_path / "c", "--resume", "--epochs"]
    arguments[arguments.index("--epochs") : arguments.index("--epochs") + 2] = []
    assert tailor(*arguments, *options, 1, "--json") == 0
    assert json.loads(tailor.out)["resumed"] is False
    assert (tmp_path / "o.mlmodel").exists()
    assert not (tmp_path / "c").exists()


def test_what_was_learned_but_not_written_is_written(
    arguments: list[str], undisturbed: bytes, tailor: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the end of the training and the model on the disk there is a moment in which a process may die."""
    output, checkpoint = tmp_path / "o.mlmodel", tmp_path / "c"

    def full(model: MLModel, path: Path) -> None:
        raise OSError(28, "the disk is full", str(path))

    monkeypatch.setattr(MLModel, "write", full)
    assert tailor(*arguments, "--output", output, "--checkpoint", checkpoint) == 1
    monkeypatch.undo()
    assert tailor(*arguments, "--output", output, "--checkpoint", checkpoint, "--resume", "--json") == 0
    outcome = json.loads(tailor.out)
    assert (outcome["resumed"], outcome["epochs"], outcome["losses"]) == (True, EPOCHS, [])
    assert output.read_bytes() == undisturbed
    assert not checkpoint.exists()


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--resume"], 2, "--resume: expected --checkpoint with it, got none"),
        (["--budget", "3"], 2, "--budget: expected --checkpoint with it, got none"),
        (["--budget", "-3", "--checkpoint", "c"], 2, "--budget: expected a number of seconds above 0, got -3"),
        (["--budget", "nan", "--checkpoint", "c"], 2, "--budget: expected a number of seconds above 0, got nan"),
        (["--checkpoint-every", "3"], 2, "--checkpoint-every: expected --checkpoint with it, got none"),
        (["--checkpoint", "c", "--checkpoint-every", "0"], 2, "--checkpoint-every"),
        (["--checkpoint", "absent/c"], 1, "absent"),
        (["--checkpoint", "o"], 2, "--checkpoint: expected a file of its own, got one of the others"),
        (["--checkpoint", "r.mlmodel"], 2, "--checkpoint: expected a file of its own"),
        (["--checkpoint", "d.jsonl"], 2, "--checkpoint: expected a file of its own"),
        (["--checkpoint", "c", "--output", "r.mlmodel"], 2, "expected --output to be another file than MODEL"),
        (["--checkpoint", "there"], 2, "expected --resume to go on from 'there', or a file that is not there yet"),
        (["--checkpoint", "there", "--resume"], 1, "checkpoint there: magic: expected a tailor record, got 6e 6f"),
        (["--checkpoint", "of-another", "--resume"], 1, "expected that of an update"),
    ],
)
def test_what_cannot_go_on_says_why_and_leaves_everything_as_it_is(
    options: list[str], status: int, message: str, arguments: list[str], tailor: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").write_text("no checkpoint")
    Path("of-another").write_bytes((Path(__file__).parents[1] / "persistence" / "golden" / "checkpoint-2.tailor").read_bytes())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert tailor(*arguments, "--output", "o", *options) == status
    assert message in tailor.err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
