"""``tailor profile``: every layer is there, the numbers are right and add up, the page is readable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor import MLLayer, MLModel
from tailor.cli.made_up import indices, made_up
from tailor.cli.profile import covered
from tailor.runtime.format import NeuralNetworkBuilder, array_feature, encode_weights
from tailor.runtime.network import Step
from tests.cli.models import Terminal, drawings, neighbors, picture, regression
from tests.network.blocks import network
from tests.network.models import digits_builder

DIGITS = ["conv", "relu", "pool", "flat", "dense", "softmax"]


def digits(path: Path) -> Path:
    MLModel.from_spec(digits_builder().spec).write(path)
    return path


def profiled(tailor: Terminal, *arguments: object) -> Any:
    assert tailor("profile", *arguments, "--repeat", 2, "--json") == 0, tailor.err
    return json.loads(tailor.out)


@pytest.mark.parametrize("batch", [1, 5])
def test_every_layer_is_there_and_the_numbers_are_those_of_the_network(batch: int, tailor: Terminal, tmp_path: Path) -> None:
    facts = profiled(tailor, digits(tmp_path / "d.mlmodel"), "--batch", batch)
    assert (facts["batch"], facts["repeat"]) == (batch, 2)
    assert 0 < facts["leastSeconds"] <= facts["seconds"]
    (part,) = facts["models"]
    rows = part["layers"]
    assert [name for row in rows for name in row["layers"]] == DIGITS
    assert part["layersNotRun"] == []
    for whole in (rows, part["kinds"]):
        assert sum(row["share"] for row in whole) == pytest.approx(1)
        assert sum(row["seconds"] for row in whole) == pytest.approx(part["layerSeconds"])
        assert sum(row["multiplyAdds"] for row in whole) == part["multiplyAdds"]
        assert all(row["gflops"] == pytest.approx(2e-9 * row["multiplyAdds"] / row["seconds"]) for row in whole)
    made, dense = (next(row for row in rows if name in row["layers"]) for name in ("conv", "dense"))
    assert made["multiplyAdds"] >= batch * 8 * 8 * 4 * 9  # and whatever runs with it
    assert dense["multiplyAdds"] >= batch * 3 * 64
    assert (made["weightBytes"], dense["weightBytes"]) == (4 * (4 * 9 + 4), 4 * (3 * 64 + 3))
    assert (made["outputBytes"], dense["outputBytes"]) == (batch * 4 * 4 * 8 * 8, batch * 4 * 3)
    assert made["outputShapes"][0][-3:] == [4, 8, 8]
    assert part["mostBytesHeld"] >= made["outputBytes"]


def test_of_a_pipeline_each_model_is_told(tailor: Terminal, tmp_path: Path) -> None:
    image = picture(tmp_path / "p.png", 1, 2, 3, 4)
    facts = profiled(tailor, drawings(tmp_path / "d.mlmodel"), "--input", f"drawing={image}")
    assert [part["type"] for part in facts["models"]] == ["neuralNetwork", "kNearestNeighborsClassifier"]
    assert [[row["name"] for row in part["layers"]] for part in facts["models"]] == [["flat", "same"], []]
    assert all(part["seconds"] > 0 for part in facts["models"])
    assert tailor("profile", tmp_path / "d.mlmodel", "--repeat", 1) == 0
    assert "kNearestNeighborsClassifier" in tailor.out


def test_loops_are_steps_and_layers_that_nobody_needs_are_named(tailor: Terminal, tmp_path: Path) -> None:
    spec = network("a = add(x 1)", "dead = add(x 3)", "loop()", "y = multiply(a 2)")
    spec.neuralNetwork.layers[2].loop.maxLoopIterations = 3
    body = spec.neuralNetwork.layers[2].loop.bodyNetwork.layers.add(name="inner", input=["a"], output=["a"])
    body.add.alpha = 1.0
    path = tmp_path / "loop.mlmodel"
    MLModel.from_spec(spec).write(path)
    np.save(tmp_path / "x.npy", np.zeros(3, np.float32))
    (part,) = profiled(tailor, path, "--input", f"x={tmp_path / 'x.npy'}")["models"]
    assert [row["kind"] for row in part["layers"]] == ["add", "loop", "multiply"]
    assert part["layersNotRun"] == ["add:dead"]


@pytest.mark.parametrize("width", [80, 140])
def test_the_page_fits_and_is_in_the_order_asked_for(width: int, tailor: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    path = digits(tmp_path / "d.mlmodel")
    assert tailor("profile", path, "--repeat", 1, "--in-order", "--threads", 1) == 0
    assert max(map(len, tailor.out.splitlines())) <= width
    page = tailor.out.partition("by kind")[0]
    assert [page.index(name) for name in DIGITS] == sorted(page.index(name) for name in DIGITS)
    assert ("M mult-adds" in page) == (width == 140)
    assert tailor("profile", path, "--repeat", 1) == 0
    lines = tailor.out.partition("by layer\n")[2].partition("\n\n")[0].splitlines()[1:-1]
    times = [float(line.split()[0]) for line in lines if line[:1].strip()]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--batch", "0"], 2, "--batch"),
        (["--repeat", "0"], 2, "--repeat"),
        (["--threads", "0"], 2, "--threads"),
        (["--input", "x"], 2, "expected NAME=VALUE, got 'x'"),
        (["--input", "z=1"], 1, "--input z: the model has no such input; it has 'x'"),
        (["--input", "x=[1, 2, 3]"], 1, "'x': expected a float32 multi-array of shape [2]"),
    ],
)
def test_wrong_input_is_told(arguments: list[str], status: int, message: str, tailor: Terminal, tmp_path: Path) -> None:
    assert tailor("profile", regression(tmp_path / "r.mlmodel"), *arguments) == status
    assert message in tailor.err
    assert tailor.out == ""


def test_what_cannot_be_made_up_is_asked_for(tailor: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "any.mlmodel"
    MLModel.from_spec(network("y = add(x 1)")).write(path)  # an input of any shape
    assert tailor("profile", path) == 1
    assert "expected --input x=VALUE" in tailor.err


def test_a_model_without_layers_has_its_time(tailor: Terminal, tmp_path: Path) -> None:
    (part,) = profiled(tailor, neighbors(tmp_path / "n.mlmodel"))["models"]
    assert (part["layers"], part["kinds"], part["multiplyAdds"]) == ([], [], 0)


def layer(line: str) -> MLLayer:
    made, _, taken = line.partition("=")
    name, *inputs = taken.split()
    return MLLayer(name, name, tuple(inputs), tuple(made.split()), False)


@pytest.mark.parametrize(
    ("lines", "step", "expected"),
    [
        (["a=one x", "b=two a", "y=three b"], ("one", "x", "b"), ["one", "two"]),
        (["a=one x", "b=two a", "y=three b"], ("three", "b", "y"), ["three"]),
        (["a=one x", "b=two x", "y=three a b"], ("one", "x", "y"), ["one", "two", "three"]),
        (["a=one x", "a=two a", "y=three a"], ("one", "x", "a#1"), ["one", "two"]),  # written in place
        (["a=one x"], ("other", "x", "elsewhere"), []),
    ],
)
def test_which_layers_a_step_stands_for(lines: list[str], step: tuple[str, str, str], expected: list[str]) -> None:
    name, taken, made = step
    assert [one.name for one in covered([layer(line) for line in lines], Step(name, name, 0.0, (taken,), (made,)))] == expected


def test_numbers_that_are_made_up_are_the_same_every_time_and_fit() -> None:
    builder = NeuralNetworkBuilder([array_feature("x", (2, 3)), array_feature("z", (1,))], [array_feature("y", (2, 3))])
    builder.add_activation("relu", "RELU", "x", "y")
    model = MLModel.from_spec(builder.spec)
    first, second = made_up(model, {"z": [1.0]}, 2), made_up(model, {"z": [1.0]}, 2)
    assert [np.shape(row["x"]) for row in first] == [(2, 3), (2, 3)]
    assert [row["z"] for row in first] == [[1.0], [1.0]]
    assert np.array_equal([row["x"] for row in first], [row["x"] for row in second])
    assert not np.array_equal(first[0]["x"], first[1]["x"])


def test_what_an_embedding_takes_is_made_up_as_its_first_row(tailor: Terminal, tmp_path: Path) -> None:
    builder = NeuralNetworkBuilder([array_feature("word", (1,))], [array_feature("y", (2,))])
    embedding = builder.nn_spec.layers.add(name="table", input=["word"], output=["embedded"])
    embedding.embedding.inputDim, embedding.embedding.outputChannels = 3, 2
    encode_weights(embedding.embedding.weights, np.ones((2, 3), np.float32), "table")
    builder.add_activation("relu", "RELU", "embedded", "y")
    path = tmp_path / "e.mlmodel"
    MLModel.from_spec(builder.spec).write(path)
    assert indices(MLModel(path)) == {"word"}
    (part,) = profiled(tailor, path)["models"]
    assert [name for row in part["layers"] for name in row["layers"]] == ["table", "relu"]
