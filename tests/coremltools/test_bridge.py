"""coremltools' own ``predict``, with tailor behind it: answers worked out by hand, errors, and what is left alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tailor.coremltools import Proxy, disable, enable, enabled, is_enabled, switch
from tailor.coremltools.native import MODULE
from tailor.runtime.errors import MLFormatError, MLUnsupportedError
from tests.format.peers import coremltools
from tests.places import shared_model

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="on macOS coremltools predicts by itself")

WEIGHTS, BIAS = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]]), np.array([0.5, -0.5])
X, Y = np.array([1.0, -1.0, 2.0]), [5.5, 8.5]


@pytest.fixture
def ct() -> Iterator[Any]:
    """coremltools, imported before the bridge is there."""
    package = coremltools()
    with enabled():
        yield package


def dense(ct: Any, labels: list[str] | None = None) -> Any:
    """The spec of an inner product, by coremltools' builder; of a classifier with a softmax where there are labels."""
    types = ct.models.datatypes
    builder = ct.models.neural_network.NeuralNetworkBuilder(
        [("x", types.Array(3))], [("y", types.Array(2))], mode="classifier" if labels else None, disable_rank5_shape_mapping=not labels
    )
    builder.add_inner_product("dense", WEIGHTS, BIAS, 3, 2, True, "x", "scores" if labels else "y")
    if labels:
        builder.add_softmax("soft", "scores", "y")
        builder.set_class_labels(labels, predicted_feature_name="label", prediction_blob="y")
    return builder.spec


def test_a_network_answers_one_example_and_a_list_of_them(ct: Any) -> None:
    spec = dense(ct)
    model = ct.models.MLModel(spec)
    assert model.predict({"x": X})["y"].tolist() == Y
    assert model.predict({"x": X.tolist()})["y"].tolist() == Y
    rows = model.predict([{"x": X}, {"x": np.zeros(3, np.float16)}])
    assert [row["y"].tolist() for row in rows] == [Y, BIAS.tolist()]
    assert model.predict([]) == []
    assert model.get_spec() == spec
    assert (model.load_duration_in_nano_seconds > 0, model.last_predict_duration_in_nano_seconds > 0) == (True, True)


@pytest.mark.parametrize(("kind", "dtype"), [("FLOAT16", np.float32), ("FLOAT32", np.float32), ("DOUBLE", np.float64), ("INT32", np.int32)])
def test_outputs_are_of_the_types_that_core_mls_binding_gives(ct: Any, kind: str, dtype: Any) -> None:
    spec = dense(ct)
    array = spec.description.output[0].type.multiArrayType
    array.dataType = array.ArrayDataType.Value(kind)
    answer = ct.models.MLModel(spec).predict({"x": X})["y"]
    assert (answer.dtype, answer.tolist()) == (dtype, np.array(Y).astype(dtype).tolist())


def test_a_classifier_answers_a_label_and_a_dictionary(ct: Any) -> None:
    answer = ct.models.MLModel(dense(ct, ["cat", "dog"])).predict({"x": X})
    odds = np.exp(np.array(Y) - max(Y))
    assert answer["label"] == "dog"
    (probabilities,) = (value for value in answer.values() if isinstance(value, dict))
    assert probabilities == pytest.approx(dict(zip(["cat", "dog"], odds / odds.sum(), strict=True)))
    assert {type(number) for number in probabilities.values()} == {float}


@pytest.mark.parametrize("suffix", [".mlmodel", ".mlpackage"])
def test_models_come_from_files_too(ct: Any, tmp_path: Path, suffix: str) -> None:
    path = str(tmp_path / f"dense{suffix}")
    ct.models.utils.save_spec(dense(ct), path)
    assert ct.models.MLModel(path).predict({"x": X})["y"].tolist() == Y


def test_a_spec_that_was_changed_is_another_model(ct: Any) -> None:
    spec = dense(ct)
    before = ct.models.MLModel(spec)
    spec.neuralNetwork.layers[0].innerProduct.bias.floatValue[0] = 100.5
    assert ct.models.MLModel(spec).predict({"x": X})["y"].tolist() == [105.5, 8.5]
    assert before.predict({"x": X})["y"].tolist() == Y


def test_every_compute_unit_gives_the_same_bits(ct: Any) -> None:
    spec = dense(ct)
    for unit in ct.ComputeUnit:
        assert ct.models.MLModel(spec, compute_units=unit).predict({"x": X})["y"].tolist() == Y


def test_images_must_have_the_size_that_the_model_takes(ct: Any) -> None:
    model = ct.models.MLModel(str(shared_model("UpdatableDrawingClassifier.mlmodel")))
    drawing = Image.new("L", (28, 28))
    assert model.predict({"drawing": drawing})["label"] == model.predict([{"drawing": drawing}])[0]["label"] == "unknown"
    with pytest.raises(RuntimeError, match="input 'drawing': expected an image 28x28 grayscale, got an image 30x28; resize it first"):
        model.predict({"drawing": Image.new("L", (30, 28))})
    with pytest.raises(RuntimeError, match="^example 1: input 'drawing': expected an image 28x28"):
        model.predict([{"drawing": drawing}, {"drawing": Image.new("L", (30, 28))}])
    with pytest.raises(TypeError, match="mode=='L'"):
        model.predict({"drawing": Image.new("RGB", (28, 28))})


def test_errors_are_runtime_errors_that_name_what_is_wrong(ct: Any) -> None:
    model = ct.models.MLModel(dense(ct))
    with pytest.raises(RuntimeError, match=r"input 'x': expected a float64 multi-array of shape \[3\], got .*\[4\]"):
        model.predict({"x": np.zeros(4)})
    with pytest.raises(RuntimeError, match="expected input 'x', got nothing"):
        model.predict({})
    with pytest.raises(KeyError, match="does not match any of the model input name"):
        model.predict({"z": X})


def test_an_ml_program_is_refused_when_it_is_asked_to_predict(ct: Any) -> None:
    model = ct.models.MLModel(str(shared_model("BasicPitch.mlpackage")))
    with pytest.raises(RuntimeError, match="is an ML Program: ML Programs are not supported yet"):
        model.predict({model.get_spec().description.input[0].name: np.zeros((1, 43844, 1), np.float32)})


def test_a_model_that_cannot_be_loaded_warns_and_says_why_later(ct: Any) -> None:
    spec = dense(ct)
    spec.ClearField("neuralNetwork")
    with pytest.warns(RuntimeWarning, match="You will not be able to run predict.*expected a model") as warned:
        model = ct.models.MLModel(spec)
    assert warned[0].filename == __file__
    with pytest.raises(MLFormatError, match="expected a model"):
        model.predict({"x": X})


def test_what_only_macos_has_says_so(ct: Any) -> None:
    model = ct.models.MLModel(dense(ct))
    calls = (model.get_compiled_model_path, ct.models.MLModel.get_available_compute_devices, Proxy.auto_set_specification_version)
    for call, arguments in zip(calls, ((), (), (None,)), strict=True):
        with pytest.raises(MLUnsupportedError, match="needs Core ML itself, which only macOS has"):
            call(*arguments)


def test_it_goes_away_and_comes_back() -> None:
    ct = coremltools()
    assert not is_enabled()
    spec = dense(ct)
    enable()
    enable()
    assert is_enabled()
    loaded = ct.models.MLModel(spec)
    disable()
    disable()
    assert (is_enabled(), MODULE in sys.modules, hasattr(ct, "libcoremlpython")) == (False, False, False)
    with pytest.raises(Exception, match="only supported on macOS"):
        ct.models.MLModel(spec).predict({"x": X})
    assert loaded.predict({"x": X})["y"].tolist() == Y
    with enabled():
        with enabled():
            assert is_enabled()
        assert ct.models.MLModel(spec).predict({"x": X})["y"].tolist() == Y
    assert not is_enabled()


def test_on_macos_nothing_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    enable()
    assert (is_enabled(), MODULE in sys.modules) == (False, False)


def test_it_does_not_push_anyone_out(monkeypatch: pytest.MonkeyPatch) -> None:
    coremltools()
    monkeypatch.setitem(sys.modules, MODULE, sys)
    with pytest.raises(MLUnsupportedError, match=f"expected no module {MODULE}, got <module 'sys'"):
        enable()


def test_without_coremltools_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "coremltools", raising=False)
    monkeypatch.setattr(switch, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"coremltools is not installed; pip install 'tailor\[coremltools\]'"):
        enable()


TEST = """
import coremltools as ct
import numpy as np

def test_predicts():
    builder = ct.models.neural_network.NeuralNetworkBuilder([("x", ct.models.datatypes.Array(2))], [("y", ct.models.datatypes.Array(2))])
    builder.add_elementwise("more", ["x"], "y", "ADD", 1.0)
    assert ct.models.MLModel(builder.spec).predict({"x": np.array([1.0, 2.0])})["y"].tolist() == [2.0, 3.0]
"""


def test_the_plugin_lets_a_test_run_predict(tmp_path: Path) -> None:
    coremltools()
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "tailor.coremltools.pytest_plugin", "-c", str(tmp_path / "pytest.ini"), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "coremltools: predictions by tailor" in done.stdout
    assert "Failed to load _MLModelProxy" not in done.stdout + done.stderr
