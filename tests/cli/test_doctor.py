"""``tailor doctor``: what it prints, what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tailor import MLModel
from tests.cli.models import Terminal, neighbors, regression
from tests.doctor.models import X, layer, network

RESHAPE = ("reshape", layer("reshapeStatic", targetShape=[1, 8]))
STEPS = ("conv", "relu", RESHAPE, "first", "tanh", "second", ("nd", layer("softmaxND", axis=1)))


def untrainable(path: Path) -> Path:
    """A network as converters leave it."""
    MLModel.from_spec(network(STEPS).spec).write(path)
    return path


def test_a_diagnosis_for_people_and_for_programs(tailor: Terminal, tmp_path: Path) -> None:
    model = untrainable(tmp_path / "m.mlmodel")
    assert tailor("doctor", model) == 0
    for told in ("Core ML would update it  no", "isUpdatable: expected true, got false", "updatable-layers", "Layers with parameters: 3"):
        assert told in tailor.out
    assert max(map(len, tailor.out.splitlines())) <= 80
    assert tailor("doctor", model, "--json") == 0
    facts = json.loads(tailor.out)
    assert (facts["acceptedByCoreML"], facts["acceptedByTailor"], facts["isUpdatable"], facts["learner"]) == (False, False, False, None)
    first = {"rule": "updatable-model", "where": "isUpdatable", "expected": "true", "got": "false", "severity": "coreML"}
    assert facts["findings"][0] == first and facts["findings"][-1] == first | {"severity": "tailor"}
    assert [(row["name"], row["between"]) for row in facts["layers"]] == [
        ("conv", ["'reshape' (reshapeStatic)", "'nd' (softmaxND)"]), ("first", ["'nd' (softmaxND)"]), ("second", ["'nd' (softmaxND)"]),
    ]  # fmt: skip
    assert tailor("doctor", regression(tmp_path / "r.mlmodel"), "--json") == 0
    facts = json.loads(tailor.out)
    assert facts["acceptedByCoreML"] and facts["acceptedByTailor"] and facts["findings"] == []


def test_a_repaired_model_is_written_and_can_take_the_place_of_the_one_read(tailor: Terminal, tmp_path: Path) -> None:
    model = untrainable(tmp_path / "m.mlmodel")
    kept, fixed = model.read_bytes(), tmp_path / "fixed.mlmodel"
    arguments = ("--optimizer", "adam", "--trainable", "first,second", "--set", "epochs=7", "--loss", "categorical_cross_entropy")
    assert tailor("doctor", model, "--repair", "--output", fixed, *arguments) == 0
    assert "softmax along channels" in tailor.out and f"{fixed}: " in tailor.out and tailor.err == ""
    assert model.read_bytes() == kept
    made = MLModel(fixed)
    assert [row.name for row in made.layers if row.updatable] == ["first", "second"]
    told = {str(key): one.default_value for key, one in made.description.parameter_descriptions_by_key.items()}
    assert told["epochs"] == 7 and "beta1" in told
    np.testing.assert_allclose(made.predict({"x": X[0]})["y"], MLModel(model).predict({"x": X[0]})["y"], rtol=1e-5, atol=1e-6)
    assert tailor("doctor", model, "--repair", "-o", model, "--trainable", "first", "--trainable", "second", *arguments[:2]) == 0
    assert [row.name for row in MLModel(model).layers if row.updatable] == ["first", "second"]
    assert tailor("doctor", model, "--repair", "-o", model, "--json") == 0
    again = json.loads(tailor.out)
    assert again["repairs"] == [] and again["after"]["acceptedByCoreML"] and again["output"] == str(model)
    assert tailor("doctor", model, "--repair", "-o", model) == 0 and "none was needed" in tailor.out


FAILURES: list[tuple[str, list[str], int, str]] = [
    ("no file", ["absent.mlmodel"], 1, "absent.mlmodel: expected a Core ML model file"),
    ("no model", ["text.mlmodel"], 1, "text.mlmodel: expected a Core ML model"),
    ("no output", ["m.mlmodel", "--repair"], 2, "expected a file for the repaired model"),
    ("no folder", ["m.mlmodel", "--repair", "-o", "absent/o.mlmodel"], 1, "the folder 'absent' does not exist"),
    ("a wish without repair", ["m.mlmodel", "--loss", "mean_squared_error"], 2, "expected --repair"),
    ("an output without repair", ["m.mlmodel", "-o", "o.mlmodel"], 2, "expected --repair"),
    ("an unknown loss", ["m.mlmodel", "--repair", "-o", "o.mlmodel", "--loss", "hinge"], 1, "loss: expected categorical_cross_entropy or"),
    ("an unknown optimizer", ["m.mlmodel", "--repair", "-o", "o.mlmodel", "--optimizer", "x"], 1, "optimizer: expected sgd or adam"),
    ("an unknown layer", ["m.mlmodel", "--repair", "-o", "o.mlmodel", "--trainable", "dense"], 1, "expected the name of a layer"),
    ("no layer", ["m.mlmodel", "--repair", "-o", "o.mlmodel", "--trainable", ","], 2, "expected names of layers, got none"),
    ("an unknown output", ["m.mlmodel", "--repair", "-o", "o.mlmodel", "--loss-output", "z"], 1, "('y'), got 'z'"),
    ("no vector", ["i.mlmodel", "--repair", "-o", "o.mlmodel", "--loss", "categorical_cross_entropy"], 1, "a vector of one number"),
    ("neighbours have no loss", ["n.mlmodel", "--repair", "-o", "o.mlmodel", "--loss", "mean_squared_error"], 1, "expected no loss for"),
    ("an unknown parameter", ["m.mlmodel", "--repair", "-o", "o.mlmodel", "--set", "rate=1"], 1, "rate"),
    ("no value", ["m.mlmodel", "--repair", "-o", "o.mlmodel", "--set", "epochs"], 2, "expected KEY=VALUE, got 'epochs'"),
    ("epochs of 0", ["m.mlmodel", "--repair", "-o", "o.mlmodel", "--set", "epochs=0"], 1, "expected a whole number of at least 1, got 0"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "status", "message"), [row[1:] for row in FAILURES], ids=[row[0] for row in FAILURES])
def test_what_goes_wrong_is_one_message_a_code_and_no_file(
    arguments: list[str], status: int, message: str, tailor: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    untrainable(Path("m.mlmodel"))
    neighbors(Path("n.mlmodel"))
    MLModel.from_spec(network(("conv",), (1, 2, 2, 2)).spec).write(Path("i.mlmodel"))
    Path("text.mlmodel").write_text("not a model")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert tailor("doctor", *arguments) == status
    assert tailor.err.startswith("tailor: ") and message in tailor.err and tailor.out == ""
    assert tailor("doctor", *arguments, "--json") == status
    assert message in json.loads(tailor.err)["error"]["message"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_help_gives_an_example(tailor: Terminal) -> None:
    assert tailor("doctor", "--help") == 0
    assert "Example: tailor doctor " in tailor.out and max(map(len, tailor.out.splitlines())) <= 80
