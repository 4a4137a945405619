"""``tailor merge`` and ``tailor rebase``: what they print, write and refuse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from tailor import MLArrayBatchProvider, MLModel, MLModelStore, MLUpdateTask
from tests.cli.models import Terminal, neighbors, regression


def in_store(work: Callable[[MLModelStore], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with MLModelStore("store") as kept:
            return await work(kept)

    return anyio.run(run)


async def taught(model: MLModel, *rows: dict[str, Any]) -> MLModel:
    return (await MLUpdateTask(model, MLArrayBatchProvider(list(rows)))).model


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``n/alice`` knows a label on each of two branches; ``r`` was taught another slope on each."""
    folder = tmp_path_factory.mktemp("prepared")
    points, line = MLModel(neighbors(folder / "n.mlmodel")), MLModel(regression(folder / "r.mlmodel"))

    async def fill() -> None:
        async with MLModelStore(folder / "store", device="phone") as kept:
            for branch, label, slope in (("main", "east", 1.0), ("tablet", "north", 3.0)):
                await kept.commit(await taught(points, {"point": [slope, 0.0], "label": label}), points, user="alice", branch=branch)
                model = await taught(line, *[{"x": [1.0, 0.0], "y_true": [slope]}] * 2)
                await kept.commit(model, line, branch=branch, examples=int(slope))

    anyio.run(fill)
    return folder


@pytest.fixture(autouse=True)
def here(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test in a copy of its own."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAILOR_STORE", "store")


def slope() -> float:
    return float(in_store(lambda kept: kept.model("r")).predict({"x": [1.0, 0.0]})["y"][0])


def test_examples_of_both_branches_are_in_the_merged_version(tailor: Terminal) -> None:
    assert tailor("merge", "n/alice", "tablet", "--dry-run") == 0, tailor.err
    assert tailor.out.startswith("n/alice: would be merged from ") and tailor.out.endswith(": examples joined\n")
    assert tailor("merge", "n/alice", "tablet") == 0, tailor.err
    head = in_store(lambda kept: kept.head("n", "alice"))
    first, second = (parent[:12] for parent in head.parents)
    assert tailor.out == f"n/alice: merged into {head.identifier[:12]} from {first} and {second}: examples joined\n"
    model = in_store(lambda kept: kept.model("n", "alice"))
    assert {example.label for example in model.examples} == {"east", "north"}
    assert tailor("merge", "n/alice", "tablet") == 0 and "nothing to merge" in tailor.out
    assert tailor("merge", "n/alice", "main", "--branch", "tablet") == 0 and "(tablet): is now at" in tailor.out


@pytest.mark.parametrize(
    ("options", "said", "expected"),
    [
        ([], "weights averaged (", 2.5),
        (["--policy", "latest"], "the weights of the latest, ", 3.0),
        (["--policy", "branches"], "nothing was merged; each is on a branch already", 1.0),
    ],
)
def test_networks_are_merged_by_a_policy(tailor: Terminal, options: list[str], said: str, expected: float) -> None:
    before = slope()
    assert tailor("merge", "r", "tablet", *options) == 0, tailor.err
    assert said in tailor.out
    assert slope() == pytest.approx(expected * before)  # one epoch of a quadratic loss goes as far as the slope is large


def test_a_merge_that_is_worse_is_refused_with_the_numbers(tailor: Terminal) -> None:
    Path("known.jsonl").write_text(json.dumps({"x": [1, 0], "y_true": [slope()]}) + "\n")
    assert tailor("merge", "r", "tablet", "--reference", "known.jsonl") == 1
    assert "the merge was refused: loss on reference (1 example) went from 0 to" in tailor.out
    assert tailor("merge", "r", "tablet", "--reference", "known.jsonl", "--json") == 1
    told = json.loads(tailor.out)
    assert (told["outcome"], told["branches"], told["verdict"]["accepted"]) == ("branches", {}, False)
    Path("known.jsonl").write_text(json.dumps({"x": [1, 0], "y_true": [2.5 * slope()]}) + "\n")
    assert tailor("merge", "r", "tablet", "--reference", "known.jsonl") == 0, tailor.err
    assert tailor.out.startswith("accepted") and "merged into" in tailor.out


def test_a_rebase_lists_what_moved_and_what_did_not(tailor: Terminal) -> None:
    MLModel("r.mlmodel")._changed(lambda spec: setattr(spec.neuralNetwork.layers[0], "name", "thick")).write("other.mlmodel")
    MLModel("n.mlmodel")._changed(lambda spec: setattr(spec.description.metadata, "author", "Another")).write("n2.mlmodel")
    before = in_store(lambda kept: kept.head("n", "alice")).identifier[:12]
    assert tailor("rebase", "n/alice", "n2.mlmodel", "--dry-run") == 0, tailor.err
    assert f"n/alice: 1 moved, 0 left behind; stays at {before}" in tailor.out
    assert tailor("rebase", "n/alice", "n2.mlmodel", "--message", "n2", "--device", "desk") == 0, tailor.err
    assert "moved  examples  1 added" in tailor.out and "is now at" in tailor.out
    head = in_store(lambda kept: kept.head("n", "alice"))
    assert (head.message, head.device) == ("n2", "desk")
    assert in_store(lambda kept: kept.model("n", "alice")).description.metadata.author == "Another"
    assert tailor("rebase", "n/alice", "n2.mlmodel", "--json") == 0
    told = json.loads(tailor.out)
    assert (told["moved"], told["left"], told["version"]["identifier"]) == ({}, {}, head.identifier)
    assert tailor("rebase", "r", "other.mlmodel") == 1
    assert "rebase of r//main onto other.mlmodel: expected something that can be moved, got nothing:\nleft dense.weights: " in tailor.err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["merge", "n/alice", "nowhere"], 1, "expected the name of a version, got 'nowhere', which none has"),
        (["merge", "n/bob", "tablet"], 1, "expected a model that is kept here, got n/bob/main"),
        (["merge", "n/alice"], 2, "OTHER"),
        (["merge", "/alice", "tablet"], 2, "expected NAME or NAME/USER"),
        (["merge", "r", "tablet", "--policy", "mean"], 2, "'mean' is not one of"),
        (["merge", "r", "tablet", "--margin", "0.1"], 2, "expected --reference with it, got none"),
        (["merge", "r", "tablet", "--store", "nowhere"], 1, "nowhere: expected a store"),
        (["rebase", "n/alice", "absent.mlmodel"], 1, "absent.mlmodel"),
        (["rebase", "r", "n.mlmodel"], 1, "the new base has no such layer"),
        (["rebase", "r", "n.mlmodel", "--weights", "add"], 2, "'add' is not one of"),
    ],
)
def test_what_is_wrong_is_said(tailor: Terminal, arguments: list[str], status: int, said: str) -> None:
    assert tailor(*arguments) == status
    assert said in tailor.err
