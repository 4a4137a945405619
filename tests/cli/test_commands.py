"""The commands, end to end on small models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tailor import MLModel
from tests.cli.models import Terminal, drawings, neighbors, picture, picture_folder, regression
from tests.places import shared_model

POINTS = "point_0,point_1,label\n0,0,origin\n1,0,east\n0,1,north\n"
# y = 2 a - b: four examples, two batches of two.
LINE = '{"x": [1, 0], "y_true": [2]}\n{"x": [0, 1], "y_true": [-1]}\n{"x": [1, 1], "y_true": [1]}\n{"x": [2, 1], "y_true": [3]}\n'


def test_inspect_shows_what_the_model_says_of_itself(tailor: Terminal, tmp_path: Path) -> None:
    assert tailor("inspect", neighbors(tmp_path / "n.mlmodel")) == 0
    for part in ("kNearestNeighborsClassifier, updatable", "A. Uthor", "MIT", "point", "float32", "[2]", "numberOfNeighbors", "1 to 1000"):
        assert part in tailor.out
    assert tailor.err == ""


def test_inspect_as_json(tailor: Terminal, tmp_path: Path) -> None:
    path = regression(tmp_path / "r.mlmodel")
    assert tailor("inspect", path, "--json") == 0
    facts = json.loads(tailor.out)
    assert (facts["type"], facts["isUpdatable"], facts["size"]) == ("neuralNetwork", True, path.stat().st_size)
    assert [row["name"] for row in facts["trainingInputs"]] == ["x", "y_true"]
    assert facts["layers"] == [{"name": "dense", "kind": "innerProduct", "inputs": ["x"], "outputs": ["y"], "isUpdatable": True}]
    parameters = {row["key"]: row for row in facts["parameters"]}
    assert parameters["learningRate"]["default"] == 0.5
    assert (parameters["learningRate"]["minimum"], parameters["learningRate"]["maximum"]) == (0, 1)
    assert parameters["epochs"]["allowed"] == list(range(1, 101))


def test_inspect_shows_the_parts_of_a_pipeline(tailor: Terminal, tmp_path: Path) -> None:
    path = drawings(tmp_path / "d.mlmodel")
    assert tailor("inspect", path, "--layers") == 0
    assert "an image 2x2 grayscale" in tailor.out
    assert "innerProduct" in tailor.out
    tailor("inspect", path, "--json")
    assert [part["type"] for part in json.loads(tailor.out)["models"]] == ["neuralNetwork", "kNearestNeighborsClassifier"]


@pytest.mark.parametrize("options", [(), ("--layers",)])
def test_the_page_stays_within_80_columns(options: tuple[str, ...], tailor: Terminal) -> None:
    for name in ("UpdatableDrawingClassifier.mlmodel", "PoseHourglass.mlmodel", "HousePrices_updatable.mlmodel"):
        assert tailor("inspect", shared_model(name), *options) == 0
        assert max(map(len, tailor.out.splitlines())) <= 80
        assert tailor.out.isprintable() or "\x1b" not in tailor.out


def test_predict_one_example(tailor: Terminal, tmp_path: Path) -> None:
    path = regression(tmp_path / "r.mlmodel")
    assert tailor("predict", path, "--input", "x=[3, 4]", "--json") == 0
    assert json.loads(tailor.out) == {"y": [0.0]}
    assert tailor("predict", path, "--input", "x=[3, 4]") == 0
    assert "y" in tailor.out


def test_predict_an_image_and_say_who_it_is_like(tailor: Terminal, tmp_path: Path) -> None:
    taught = tmp_path / "taught.mlmodel"
    assert tailor("update", drawings(tmp_path / "d.mlmodel"), "--data", picture_folder(tmp_path / "p"), "--output", taught) == 0
    dim = picture(tmp_path / "dim.png", 20, 20, 20, 20)
    assert tailor("predict", taught, "-i", f"drawing={dim}", "--json") == 0
    answer = json.loads(tailor.out)
    assert answer["label"] == "dark"
    assert answer["labelProbs"] == {"bright": 0.0, "dark": 1.0}


def test_predict_many_tells_the_share_that_is_right(tailor: Terminal, tmp_path: Path) -> None:
    taught, data = tmp_path / "taught.mlmodel", tmp_path / "points.csv"
    data.write_text(POINTS)
    assert tailor("update", neighbors(tmp_path / "n.mlmodel"), "--data", data, "--output", taught) == 0
    data.write_text(POINTS + "0.1,0,east\n")  # wrong on purpose: it is nearest to the origin
    assert tailor("predict", taught, "--data", data) == 0
    assert "right: 3 of 4 (75.0%)" in tailor.out
    assert "line 5" in tailor.out
    assert tailor("predict", taught, "--data", data, "--output", tmp_path / "a.jsonl", "--json") == 0
    assert json.loads(tailor.out) == {"output": str(tmp_path / "a.jsonl"), "examples": 4, "known": 4, "right": 3, "share": 0.75}
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [line["label"] for line in lines] == ["origin", "east", "north", "origin"]
    assert tailor("predict", taught, "--data", data, "--json") == 0
    assert [json.loads(line) for line in tailor.out.splitlines()] == lines


def test_predict_names_the_row_that_does_not_fit_and_writes_nothing(tailor: Terminal, tmp_path: Path) -> None:
    rows = ['{"x": [1, 2]}'] * 300 + ['{"x": [1, 2, 3]}']
    (tmp_path / "d.jsonl").write_text("\n".join(rows))
    answers = tmp_path / "out" / "a.jsonl"
    answers.parent.mkdir()
    assert tailor("predict", regression(tmp_path / "r.mlmodel"), "--data", tmp_path / "d.jsonl", "--output", answers) == 1
    assert "line 301" in tailor.err
    assert list(answers.parent.iterdir()) == []


def test_an_image_that_is_answered_is_given_as_png(tailor: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "in.png"
    Image.fromarray(np.full((4, 4, 3), 77, np.uint8)).save(path)
    assert tailor("predict", shared_model("Image2Image.mlmodel"), "--input", f"image={path}", "--json") == 0
    answer = next(iter(json.loads(tailor.out).values()))
    assert (answer["width"], answer["height"]) == (256, 256)
    assert answer["png"]


def test_update_learns_what_gradient_descent_learns(tailor: Terminal, tmp_path: Path) -> None:
    base, data = regression(tmp_path / "r.mlmodel"), tmp_path / "d.jsonl"
    data.write_text(LINE)
    before = base.read_bytes()
    arguments = ("update", base, "--data", data, "--output", tmp_path / "new.mlmodel", "--epochs", 2, "--set", "learningRate=0.1")
    assert tailor(*arguments, "--json") == 0
    outcome = json.loads(tailor.out)
    losses, weights, bias = descended(epochs=2, rate=0.1)
    np.testing.assert_allclose(outcome["losses"], losses, rtol=1e-5)
    assert (outcome["epochs"], outcome["examples"], outcome["parameters"]["learningRate"]) == (2, 4, 0.1)
    assert tailor.err == ""
    answer = MLModel(tmp_path / "new.mlmodel").predict({"x": np.array([3.0, 4.0])})["y"]
    np.testing.assert_allclose(answer, [weights @ [3, 4] + bias], rtol=1e-5)
    assert base.read_bytes() == before


def test_update_trains_what_is_asked_for_as_it_is_asked(tailor: Terminal, tmp_path: Path) -> None:
    base, data = regression(tmp_path / "r.mlmodel"), tmp_path / "d.jsonl"
    data.write_text(LINE)
    arguments = ["update", base, "--data", data, "--output", tmp_path / "new.mlmodel", "--epochs", 2, "--json", "--trainable", "dense.bias"]
    options = {"accumulate": 2, "clip_norm": 0.5, "schedule": "step", "schedule.factor": 0.25, "loss_weights.loss": 3}
    for key, value in options.items():
        arguments += ["--option", f"{key}={value}"]
    assert tailor(*arguments) == 0
    asked = {"accumulate": 2, "clip_norm": 0.5, "loss_weights": {"loss": 3.0}, "schedule": {"kind": "step", "factor": 0.25}}
    assert json.loads(tailor.out)["training"] == {**asked, "trainable": ["dense.bias"]}
    # one step an epoch, by a gradient of length 0.5: y is 0 at first and less than the mean of the targets, so the bias grows
    answer = MLModel(tmp_path / "new.mlmodel").predict({"x": np.array([3.0, 4.0])})["y"]
    np.testing.assert_allclose(answer, [0.5 * 0.5 + 0.25 * 0.5 * 0.5], rtol=1e-6)


def descended(epochs: int, rate: float) -> tuple[list[float], Any, float]:
    """Gradient descent on ``LINE`` in batches of two, by hand: the mean loss of each epoch, weights, bias."""
    x, y = np.array([[1, 0], [0, 1], [1, 1], [2, 1]], float), np.array([2, -1, 1, 3], float)
    weights, bias, losses = np.zeros(2), 0.0, []
    for _ in range(epochs):
        squares: list[float] = []
        for rows in (slice(0, 2), slice(2, 4)):
            error = x[rows] @ weights + bias - y[rows]
            squares += list(error**2)
            weights, bias = weights - rate * 2 * error @ x[rows] / 2, bias - rate * 2 * error.mean()
        losses.append(float(np.mean(squares)))
    return losses, weights, bias


def test_update_tells_of_each_epoch(tailor: Terminal, tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(LINE)
    arguments = ("update", regression(tmp_path / "r.mlmodel"), "--data", tmp_path / "d.jsonl", "--output", tmp_path / "new.mlmodel")
    assert tailor(*arguments, "--epochs", 3, "--set", "learningRate=0.1") == 0
    assert [line.split("  ")[0] for line in tailor.err.splitlines()] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert f"loss {descended(1, 0.1)[0][0]:.4f}" in tailor.err.splitlines()[0]
    assert "updated with 4 examples" in tailor.out


def test_a_model_may_replace_itself(tailor: Terminal, tmp_path: Path) -> None:
    path, data = neighbors(tmp_path / "n.mlmodel"), tmp_path / "points.csv"
    data.write_text(POINTS)
    assert tailor("update", path, "--data", data, "--output", path) == 0
    assert MLModel(path).predict({"point": np.array([0.9, 0.0])})["label"] == "east"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["n.mlmodel", "points.csv"]


def test_snapshot_and_restore_give_the_same_bytes(tailor: Terminal, tmp_path: Path) -> None:
    base, taught, data = neighbors(tmp_path / "n.mlmodel"), tmp_path / "t.mlmodel", tmp_path / "points.csv"
    data.write_text(POINTS)
    delta, full = tmp_path / "delta", tmp_path / "full"
    assert tailor("update", base, "--data", data, "--output", taught, "--snapshot", tmp_path / "first") == 0
    assert tailor("snapshot", taught, "--base", base, "--output", delta, "--json") == 0
    assert json.loads(tailor.out)["size"] == delta.stat().st_size
    assert tailor("snapshot", taught, "--output", full) == 0
    for snapshot, options in (("first", ("--base", base)), ("delta", ("--base", base)), ("full", ())):
        again = tmp_path / f"{snapshot}.mlmodel"
        assert tailor("restore", tmp_path / snapshot, *options, "--output", again) == 0
        assert again.read_bytes() == taught.read_bytes()
    assert tailor("restore", delta, "--output", tmp_path / "no.mlmodel") == 1
    assert "base" in tailor.err
    assert tailor("restore", delta, "--base", taught, "--output", tmp_path / "no.mlmodel") == 1
    assert not (tmp_path / "no.mlmodel").exists()


def test_real_drawings_are_learned_from_npz(tailor: Terminal, tmp_path: Path) -> None:
    model, digits = shared_model("UpdatableDrawingClassifier.mlmodel"), np.load(shared_model("mnist_test_10k.npz"))
    rows = np.concatenate([np.flatnonzero(digits["labels"] == digit)[:10] for digit in range(10)])
    np.savez(tmp_path / "teach.npz", drawing=digits["pixels"][rows], label=digits["labels"][rows])
    np.savez(tmp_path / "judge.npz", drawing=digits["pixels"][5000:5400], label=digits["labels"][5000:5400])
    assert tailor("update", model, "--data", tmp_path / "teach.npz", "--output", tmp_path / "t.mlmodel") == 0
    assert tailor("predict", tmp_path / "t.mlmodel", "--data", tmp_path / "judge.npz", "--output", tmp_path / "a.jsonl", "--json") == 0
    assert json.loads(tailor.out)["share"] > 0.45  # one in ten by chance


def test_a_classifier_that_knows_no_labels_yet_says_so(tailor: Terminal, tmp_path: Path) -> None:
    assert tailor("predict", drawings(tmp_path / "d.mlmodel"), "--input", f"drawing={picture(tmp_path / 'p.png', 1, 2, 3, 4)}") == 0
    assert [line.split() for line in tailor.out.splitlines()[1:]] == [["label", "nobody"], ["labelProbs", "nothing"]]
