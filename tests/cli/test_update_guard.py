"""``tailor update`` under a guard: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import numpy as np
import pytest

from tailor import MLModel, MLUpdateContext, MLUpdateGuard, MLUpdateTask, read_snapshot
from tests.cli.models import Terminal
from tests.tasks.softmax_regression import LABELS, Reference, classifier, points, provider

X, PLACES = points(60)
OLD_X, OLD_PLACES = points(30, seed=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model, examples, and two reference sets: one as the examples are, and one that is the other way round."""
    classifier().write(tmp_path / "m.mlmodel")
    for name, x, places in (("d", X, PLACES), ("good", OLD_X, OLD_PLACES), ("bad", OLD_X, 2 * (OLD_X.sum(axis=1) < 0))):
        rows = [{"x": row.tolist(), "classLabel": LABELS[place]} for row, place in zip(x, places, strict=True)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def update(folder: Path, *options: object) -> list[object]:
    return ["update", folder / "m.mlmodel", "--data", folder / "d.jsonl", "--output", folder / "o.mlmodel", *options]


def test_an_accepted_update_is_written_and_its_numbers_are_told(tailor: Terminal, folder: Path) -> None:
    reference = ("--reference", folder / "good.jsonl", "--margin", 0.25, "--seed", 4)
    assert tailor(*update(folder, "--hold-out", 0.25, *reference, "--snapshot", folder / "s", "--json")) == 0
    outcome = json.loads(tailor.out)["guard"]

    async def in_python() -> MLUpdateContext:
        return await MLUpdateTask(classifier(), provider(X, PLACES), guard=guard)

    guard = MLUpdateGuard(0.25, provider(OLD_X, OLD_PLACES), margin=0.25, seed=4)
    context = anyio.run(in_python)
    assert context.verdict is not None
    assert outcome == context.verdict.as_dict() == read_snapshot(folder / "s").metadata.extra["guard"]
    assert (folder / "o.mlmodel").read_bytes() == context.model.to_bytes()


def test_the_table_has_a_row_for_each_number(tailor: Terminal, folder: Path) -> None:
    assert tailor(*update(folder, "--hold-out", 0.25)) == 0
    held = 60 - int(tailor.out.partition("updated with ")[2].split()[0])
    rows = [line.split() for line in tailor.out.splitlines() if line.startswith("hold_out")]
    assert [row[:3] for row in rows] == [["hold_out", str(held), "accuracy"], ["hold_out", str(held), "loss"]]
    assert "accepted" in tailor.out


def test_a_refused_update_fails_with_the_numbers_and_writes_nothing(tailor: Terminal, folder: Path) -> None:
    names = {path.name: path.read_bytes() for path in folder.iterdir()}
    by_hand, places = Reference(), 2 * (OLD_X.sum(axis=1) < 0)
    before = by_hand.scores(OLD_X, places)["accuracy"]
    by_hand.learn(X, PLACES)
    after = by_hand.scores(OLD_X, places)["accuracy"]
    options = ("--reference", folder / "bad.jsonl", "--margin", 0.01, "--snapshot", folder / "s")
    assert tailor(*update(folder, *options)) == 1
    wanted = f"accuracy on reference (30 examples) went from {before:.6g} to {after:.6g}: worse by more than 0.01"
    assert tailor.err.splitlines()[-1] == f"tailor: update of m.mlmodel: refused, nothing was written: {wanted}"
    assert tailor.out == ""
    assert tailor(*update(folder, *options, "--json")) == 1
    assert wanted in json.loads(tailor.err)["error"]["message"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == names
    assert tailor(*update(folder, *options[:2], "--margin", 1)) == 0


def test_without_the_options_there_is_no_guard(tailor: Terminal, folder: Path) -> None:
    assert tailor(*update(folder, "--json")) == 0
    assert json.loads(tailor.out)["guard"] is None


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--hold-out", 2], 2, "hold_out: expected a number above 0 and below 1, or None, got 2.0"),
        (["--hold-out", 0.2, "--margin", -1], 2, "margin: expected a number of at least 0, got -1.0"),
        (["--margin", 0.1], 2, "expected --hold-out or --reference with it"),
        (["--reference", "absent.jsonl"], 1, "absent.jsonl"),
        (["--hold-out", "much"], 2, "--hold-out"),
    ],
)
def test_options_that_cannot_be_are_refused(options: list[object], status: int, message: str, tailor: Terminal, folder: Path) -> None:
    assert tailor(*update(folder, *options)) == status
    assert message in tailor.err
    assert not (folder / "o.mlmodel").exists()


def test_a_reference_set_that_does_not_fit_is_found_before_training(tailor: Terminal, folder: Path) -> None:
    (folder / "other.jsonl").write_text(json.dumps({"x": [1, 2, 3], "classLabel": "low"}))
    assert tailor(*update(folder, "--reference", folder / "other.jsonl")) == 1
    assert tailor.err.startswith("tailor: ")
    assert "guard: reference" in tailor.err
    assert "epoch" not in tailor.err
    assert MLModel(folder / "m.mlmodel").predict({"x": np.zeros(2)})["classLabel"] in LABELS
